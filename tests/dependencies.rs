//! The default tree stays small, and free of async runtimes.

use std::collections::BTreeSet;
use std::process::Command;

/// All crates that a user of bowline compiles with default features, itself included.
const MOST: usize = 32;

/// Signs that an async runtime came in through the back door.
const RUNTIMES: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "async-executor",
    "async-io",
    "async-global-executor",
    "futures",
    "futures-executor",
    "futures-util",
    "glommio",
    "monoio",
    "mio",
    "polling",
    "actix-rt",
    "embassy-executor",
];

#[test]
fn the_default_tree_is_small_and_has_no_async_runtime() {
    let tree = crates();
    assert!(tree.contains("bowline"), "the tree is not ours: {tree:?}");
    assert!(tree.len() <= MOST, "{} crates, at most {MOST} are allowed: {tree:?}", tree.len());
    let runtimes: Vec<&str> = RUNTIMES.iter().copied().filter(|name| tree.contains(*name)).collect();
    assert!(runtimes.is_empty(), "an async runtime is in the default tree: {runtimes:?}");
}

fn crates() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap_or_else(|e| panic!("cargo tree does not start: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree failed: {errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    // Two versions of one crate are two crates to compile.
    let named: BTreeSet<(&str, &str)> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?))
        })
        .collect();
    let mut crates = BTreeSet::new();
    for (name, version) in named {
        if !crates.insert(name.to_string()) {
            crates.insert(format!("{name} {version}"));
        }
    }
    crates
}
