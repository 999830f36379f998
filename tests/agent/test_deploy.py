"""What lies in deploy/agent: the installer lays it where it belongs, and the unit starts what exists."""

import subprocess
import tomllib
from pathlib import Path

from device_agent.setup import read_setup

AGENT = Path(__file__).parents[2] / "deploy" / "agent"


def test_the_installer_lays_every_file_in_its_place_and_keeps_the_set_up_of_the_machine(tmp_path: Path) -> None:
    install = ["sh", str(AGENT / "install.sh"), "--root", str(tmp_path)]
    subprocess.run(install, check=True)
    laid = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert laid == {
        "etc/udev/rules.d/60-komgick-nfc.rules", "etc/modprobe.d/blacklist-komgick-nfc.conf",
        "etc/systemd/system/komgick-agent.service", "etc/komgick/agent.toml",
        "etc/polkit-1/rules.d/60-komgick-pcscd.rules",
    }  # fmt: skip
    config = tmp_path / "etc/komgick/agent.toml"
    config.write_text('staff = "s_9"\n')
    subprocess.run(install, check=True)
    assert tomllib.loads(config.read_text()) == {"staff": "s_9"}


def test_the_example_set_up_is_one_the_agent_takes(tmp_path: Path) -> None:
    setup = read_setup(tmp_path, AGENT / "agent.toml.example", {})
    assert [reader.path for reader in setup.readers] == ["usb-port:1-1.2"]
    assert setup.readers[0].rules.badges == {"04000000000001": "s_12"}


def test_every_kernel_driver_that_takes_a_reader_is_blacklisted_and_unloaded() -> None:
    blacklisted = {
        line.split()[1]
        for line in (AGENT / "blacklist-komgick-nfc.conf").read_text().splitlines()
        if line.startswith("blacklist")
    }
    unloaded = next(
        line for line in (AGENT / "install.sh").read_text().splitlines() if line.startswith("for module in")
    )
    assert blacklisted == {"pn533_usb", "pn533", "pn532_uart", "port100", "nfc"}
    assert blacklisted == set(unloaded.removeprefix("for module in ").removesuffix("; do").split())
