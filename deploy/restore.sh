#!/bin/sh
# The way back from deploy/backup.sh: into an EMPTY database and an empty data folder; refuses anything else.
#
#   deploy/restore.sh KOMGICK-STAMP.backup SECRETS-STAMP.tar.gz
#
# With KOMGICK_DATABASE_URL and KOMGICK_DATA as for `komgick serve`. Afterwards `komgick serve`: devices notice by the
# receipts what the backup does not know, and send it again (they keep 35 days).
set -eu
umask 077

backup=${1:?"restore.sh KOMGICK-STAMP.backup SECRETS-STAMP.tar.gz"}
secrets=${2:?"restore.sh KOMGICK-STAMP.backup SECRETS-STAMP.tar.gz"}
komgick=${KOMGICK:-komgick}
data=${KOMGICK_DATA:-var}

[ -r "$backup" ] || { echo "restore.sh: cannot read $backup" >&2; exit 1; }
gzip -t "$secrets" || { echo "restore.sh: $secrets is not whole" >&2; exit 1; }
[ ! -e "$data/secrets" ] || { echo "restore.sh: $data/secrets exists: restore into an empty data folder" >&2; exit 1; }

"$komgick" db restore "$backup" --data "$data"
tar -C "$data" -xzf "$secrets"
[ -z "${KOMGICK_DATABASE_URL:-}" ] || "$komgick" db prepare --data "$data" # on a server: passwords of the logins
"$komgick" db check --data "$data"
