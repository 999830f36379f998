#!/bin/sh
# Nightly: the database in one file, and the keys beside it. Keeps the newest KEEP of both.
#
#   deploy/backup.sh FOLDER [KEEP]          (KEEP: 14)
#
# Runs as the user that `komgick serve` runs as, with the same environment (KOMGICK_DATABASE_URL, KOMGICK_DATA): under
# systemd, komgick-backup.service does that. The keys are what receipts and tags are proved with: keep FOLDER as private as
# they are, and a copy of it elsewhere.
set -eu
umask 077

folder=${1:?"backup.sh FOLDER [KEEP]"}
keep=${2:-14}
komgick=${KOMGICK:-komgick}
data=${KOMGICK_DATA:-var}
stamp=$(date -u +%Y-%m-%dT%H%M%SZ)

mkdir -p "$folder"
"$komgick" db backup "$folder/komgick-$stamp.backup" --data "$data"
if [ -d "$data/secrets" ]; then
    tar -C "$data" -czf "$folder/secrets-$stamp.tar.gz.partly" secrets
    mv "$folder/secrets-$stamp.tar.gz.partly" "$folder/secrets-$stamp.tar.gz"
fi
for kind in komgick secrets; do
    # Names sort by time; nothing but our own names is ever removed.
    find "$folder" -maxdepth 1 -type f -name "$kind-????-??-??T??????Z.*" | sort -r | tail -n "+$((keep + 1))" |
        while IFS= read -r old; do rm -f -- "$old"; done
done
