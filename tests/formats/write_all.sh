#!/usr/bin/env bash
# Write the archives of older versions of torch into archives/VERSION/, each version in an environment of its own. Files
# have paths of source lines: those of the same folder on every machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-$(command -v python3.11 || command -v python3)}
folder=/tmp/exportcheck-archives

[ $# -gt 0 ] || set -- 2.5 2.6 2.7 2.8 2.9 2.10 2.11 2.12 2.13 2.14
for version in "$@"; do
	mkdir "$folder"
	trap 'rm -rf "$folder"' EXIT
	cp "$here/write.py" "$folder"
	"$python" -m venv "$folder/env"
	"$folder/env/bin/python" -m pip install --quiet --no-cache-dir "torch==$version.*" numpy
	(cd "$folder" && env/bin/python -W ignore write.py written)
	mkdir -p "$here/archives"
	rm -rf "$here/archives/$version"
	mv "$folder/written" "$here/archives/$version"
	rm -rf "$folder"
done
