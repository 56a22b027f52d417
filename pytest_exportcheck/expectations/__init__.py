"""Expected failures: what an entry may say, the file that holds entries for cases that one cannot decorate, and writing
that file anew."""
