"""Small functions whose programs are wrong at some sizes, and what is known of each."""
