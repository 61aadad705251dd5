//! The C client for microcontrollers against the real endpoint, over a serial line as slow as a real one: as a
//! process with AddressSanitizer and UBSan, and as firmware in QEMU where that and the compiler are installed.
#![cfg(target_os = "linux")]

#[path = "../serial/cable.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod cable;
#[path = "../../examples/firmware/messages.rs"]
mod messages;
#[path = "../support/mod.rs"]
mod support;

mod board;
mod faults;
mod traffic;

use board::tool;
use std::path::Path;
use std::process::Command;

/// Makes a test of each kind of board from a function that takes the kind.
#[macro_export]
macro_rules! each_board {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            use $crate::board::Kind;

            #[test]
            fn as_a_process() {
                if Kind::Process.is_there() {
                    super::$name(Kind::Process);
                }
            }

            #[test]
            fn in_qemu() {
                if Kind::Qemu.is_there() {
                    super::$name(Kind::Qemu);
                }
            }
        })+
    };
}

#[test]
fn the_client_passes_its_own_tests_on_the_vectors_of_the_page() {
    if !tool("cc") {
        return println!("skipped: there is no C compiler");
    }
    let text = board::build("test", &[]);
    println!("{text}");
    assert!(text.contains(" 0 failed"), "{text}");
}

#[test]
fn the_client_keeps_its_limits_of_code_and_memory() {
    if !tool("arm-none-eabi-gcc") {
        return println!("skipped: arm-none-eabi-gcc is not installed");
    }
    println!("{}", board::build("sizes", &[]));
}

#[test]
fn the_header_is_what_the_example_prints() {
    let own = std::env::current_exe().expect("this test has a path");
    let example = own.parent().and_then(Path::parent).expect("a folder above").join("examples/c_header");
    assert!(example.exists(), "{} is not built: run the whole of `cargo test`", example.display());
    let printed = Command::new(example).output().expect("it starts");
    assert!(printed.status.success());
    let kept = std::fs::read_to_string(board::folder().join("messages.h")).expect("the header");
    assert!(
        String::from_utf8_lossy(&printed.stdout) == kept,
        "messages changed: cargo run --example c_header > examples/firmware/messages.h"
    );
}
