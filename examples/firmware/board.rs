//! Starts the board of `examples/firmware` on a port: the firmware in QEMU where that can be, else the same
//! program as a process.

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The board's program must not hold the cable's ports open.
const CLOSE_ALL: &str =
    r#"for file in /proc/$$/fd/*; do n=${file##*/}; [ "$n" -gt 2 ] && eval "exec $n>&-"; done; exec "$@""#;

/// Builds the board's program and starts it on a port. `None` where there is nothing to build it with.
pub fn start(port: &str) -> Result<Option<Child>, Box<dyn Error>> {
    let out = std::env::temp_dir().join(format!("bowline-firmware-{}", std::process::id()));
    let mut command = Command::new("bash");
    command.args(["-c", CLOSE_ALL, "board"]);
    if is_there("qemu-system-arm") && is_there("arm-none-eabi-gcc") {
        println!("the board: firmware for a Cortex-M3, in QEMU");
        build("firmware", &out)?;
        command.args([
            "qemu-system-arm",
            "-M",
            "mps2-an385",
            "-nographic",
            "-monitor",
            "none",
            "-nodefaults",
        ]);
        command.arg("-chardev").arg(format!("serial,id=line,path={port}")).args(["-serial", "chardev:line"]);
        command.arg("-kernel").arg(out.join("firmware.elf"));
    } else if is_there("cc") {
        println!("the board: its program as a process, for QEMU or arm-none-eabi-gcc is not installed");
        build("host", &out)?;
        command.arg(out.join("imu_board")).arg(port);
    } else {
        return Ok(None);
    }
    Ok(Some(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?))
}

fn is_there(tool: &str) -> bool {
    Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn build(what: &str, out: &Path) -> Result<(), Box<dyn Error>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/firmware/build.sh");
    let output = Command::new("sh").arg(script).arg(what).arg(out).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(())
}
