#!/bin/sh
# Installs the device agent on a Debian machine: user, program, udev rules, blacklist, systemd unit. May be run again for a new version.
#
#   deploy/agent/install.sh [--root DIR] [SOURCE]
#
# SOURCE: a wheel or a checkout of KomGick; default the checkout this file lies in.
# --root DIR: lay the files under DIR and touch nothing of this machine (to look at them, or to build an image).
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
root=
if [ "${1:-}" = "--root" ]; then
    root=${2:?"--root needs a folder"}
    shift 2
fi
source=${1:-$(CDPATH= cd -- "$here/../.." && pwd)}

if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
    echo "install.sh: run as root" >&2
    exit 1
fi

install -D -m 0644 "$here/60-komgick-nfc.rules" "$root/etc/udev/rules.d/60-komgick-nfc.rules"
install -D -m 0644 "$here/blacklist-komgick-nfc.conf" "$root/etc/modprobe.d/blacklist-komgick-nfc.conf"
install -D -m 0644 "$here/60-komgick-pcscd.rules" "$root/etc/polkit-1/rules.d/60-komgick-pcscd.rules"
install -D -m 0644 "$here/komgick-agent.service" "$root/etc/systemd/system/komgick-agent.service"
if [ ! -e "$root/etc/komgick/agent.toml" ]; then
    install -D -m 0644 "$here/agent.toml.example" "$root/etc/komgick/agent.toml"
fi
[ -z "$root" ] || exit 0

extras=agent
apt-get install -y --no-install-recommends python3 python3-venv libusb-1.0-0
if grep -q '^[^#]*pcsc:' /etc/komgick/agent.toml; then # a reader that nfcpy cannot drive: run this again after adding one
    extras=agent,pcsc
    apt-get install -y --no-install-recommends pcscd libccid swig libpcsclite-dev gcc libc6-dev python3-dev
fi
getent group plugdev >/dev/null || groupadd --system plugdev
getent passwd komgick-agent >/dev/null ||
    useradd --system --user-group --home-dir /var/lib/komgick-agent --shell /usr/sbin/nologin komgick-agent
install -d -o komgick-agent -g komgick-agent -m 0700 /var/lib/komgick-agent
[ -x /opt/komgick-agent/bin/python ] || python3 -m venv /opt/komgick-agent
/opt/komgick-agent/bin/pip install --upgrade "$source[$extras]"

# A loaded kernel driver holds the reader until it is unloaded; one that is not loaded is no fault.
for module in pn533_usb pn532_uart pn533 port100 nfc; do
    modprobe -r "$module" 2>/dev/null || true
done
if [ -d /run/systemd/system ]; then
    udevadm control --reload
    udevadm trigger --subsystem-match=usb
    systemctl daemon-reload
    systemctl enable komgick-agent
    systemctl try-restart komgick-agent
fi

cat <<'TEXT'
Installed. Next:
  1. edit /etc/komgick/agent.toml
  2. runuser -u komgick-agent -- /opt/komgick-agent/bin/komgick-agent enrol --server URL --data /var/lib/komgick-agent
     and compare the six characters with the manager's screen
  3. runuser -u komgick-agent -- /opt/komgick-agent/bin/komgick-agent selftest --data /var/lib/komgick-agent --config /etc/komgick/agent.toml
  4. systemctl start komgick-agent
TEXT
