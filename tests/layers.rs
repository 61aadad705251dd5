//! Imports point down the layer list and never up.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, top first. A module may use its own layer and those below it.
const LAYERS: &[(&str, &[&str])] = &[
    ("the crate root", &["lib"]),
    (
        "what a user holds",
        &[
            "builder",
            "endpoint",
            "intent",
            "interest",
            "sample",
            "events",
            "subscription",
            "testing",
            "fuzzing",
            "guide",
            "measuring",
            "wrap",
        ],
    ),
    ("runtime", &["runtime"]),
    ("transport", &["transport"]),
    ("proto", &["proto"]),
    ("flow", &["flow"]),
    ("wire", &["wire"]),
    (
        "values",
        &[
            "bytes",
            "delivery",
            "diagnosis",
            "error",
            "event",
            "faults",
            "health",
            "links",
            "message",
            "outcome",
            "path",
            "peer",
            "priority",
            "reason",
            "route",
            "schema",
            "settings",
            "sync",
            "time",
        ],
    ),
];

#[test]
fn imports_point_down() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let exports = exports(&read(&source.join("lib.rs")));
    let mut faults = Vec::new();
    for file in rust_files(&source) {
        let place = module_path(&source, &file);
        let shown = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&file).display().to_string();
        faults.extend(check(&shown, &place, &read(&file), &exports));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn an_import_that_points_up_is_found() {
    let exports = exports("mod runtime;\npub use endpoint::{Endpoint, EndpointBuilder};\n");
    let found = |place: &[&str], text: &str| {
        let place: Vec<String> = place.iter().map(|part| part.to_string()).collect();
        check("src/x.rs", &place, text, &exports)
    };
    for (place, text, named) in [
        (vec!["wire", "frame"], "use crate::proto::Engine;", "`crate::proto`"),
        (vec!["flow"], "use crate::{\n    error::Error,\n    runtime::Clock,\n};", "`crate::runtime`"),
        (vec!["flow"], "use crate::{time::{self, Timestamp}, proto};", "`crate::proto`"),
        (vec!["runtime"], "fn f() -> crate::Endpoint { todo!() }", "`crate::endpoint`"),
        (vec!["proto", "engine"], "use super::super::runtime;", "`crate::runtime`"),
        (vec!["error"], "use super::wire::Frame;", "`crate::wire`"),
        (vec!["nowhere"], "", "nowhere"),
        (vec!["wire"], "use crate::elsewhere::Thing;", "`crate::elsewhere`"),
    ] {
        let faults = found(&place, text);
        assert_eq!(faults.len(), 1, "{place:?} {text}: {faults:?}");
        assert!(faults[0].contains(named), "{faults:?} does not name {named}");
    }
    let line = found(&["wire"], "\n\nuse crate::flow::Outbox;");
    assert!(line[0].starts_with("src/x.rs:3: "), "{line:?}");
    for (place, text) in [
        (vec!["proto"], "use crate::wire::Frame; use crate::proto::session; use super::time::Timestamp;"),
        (vec!["wire"], "// use crate::proto\n/* crate::runtime */ const A: &str = \"crate::runtime\";"),
        (vec!["wire"], "/// See [`Endpoint`](crate::Endpoint).\npub struct A;"),
        (vec!["endpoint"], "use crate::runtime::{Clock, Dispatcher as D};"),
        (vec!["proto", "engine"], "use super::{links::Link, timers};"),
    ] {
        assert_eq!(found(&place, text), Vec::<String>::new(), "{place:?} {text}");
    }
}

/// The faults of one file.
fn check(shown: &str, place: &[String], text: &str, exports: &BTreeMap<String, String>) -> Vec<String> {
    let own = place.first().map_or("lib", String::as_str);
    let Some(own_layer) = layer(own) else {
        return vec![format!("{shown}:1: module `{own}` is in no layer: name it in tests/layers.rs")];
    };
    let code = without_comments_and_texts(text);
    let mut faults = Vec::new();
    for (line, target) in uses(&code, place) {
        let module = exports.get(&target).unwrap_or(&target);
        match layer(module) {
            None => {
                faults.push(format!("{shown}:{line}: `crate::{module}` is in no layer of tests/layers.rs"))
            }
            Some(theirs) if theirs < own_layer => faults.push(format!(
                "{shown}:{line}: `crate::{module}` ({}) is above `{own}` ({}): imports point down only",
                LAYERS[theirs].0, LAYERS[own_layer].0
            )),
            Some(_) => {}
        }
    }
    faults
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, modules)| modules.contains(&module))
}

/// Line and top-level name of every path that starts at the crate, however it is written.
fn uses(code: &str, place: &[String]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (start, word) in words(code) {
        let line = code[..start].matches('\n').count() + 1;
        let before = code[..start].trim_end();
        match word {
            "crate" if code[start..].starts_with("crate::") => {
                found.extend(first_names(&code[start + 7..]).into_iter().map(|name| (line, name)));
            }
            // Only the first `super` of a chain is looked at; the others are behind `::`.
            "super" if !before.ends_with("::") => {
                let mut rest = &code[start..];
                let mut up = 0;
                while let Some(shorter) = rest.strip_prefix("super::") {
                    rest = shorter;
                    up += 1;
                }
                // A test module inside the file is one deeper than the file says.
                if up > 0 && up >= place.len() {
                    let names = first_names(rest).into_iter();
                    let known = names.filter(|name| up == place.len() && name != "*");
                    found.extend(known.filter(|name| layer(name).is_some()).map(|name| (line, name)));
                }
            }
            _ => {}
        }
    }
    found
}

/// The first name of a path, or those of `{a::b, c}`.
fn first_names(path: &str) -> Vec<String> {
    let Some(list) = path.strip_prefix('{') else {
        return name_at(path).into_iter().collect();
    };
    let (mut depth, mut names, mut fresh) = (0, Vec::new(), true);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && !character.is_whitespace() => {
                names.extend(name_at(&list[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    names
}

fn name_at(text: &str) -> Option<String> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_string())
}

/// Every identifier with its place.
fn words(code: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut start = None;
    for (at, character) in code.char_indices().chain([(code.len(), ' ')]) {
        let inside = character.is_alphanumeric() || character == '_';
        match start {
            None if inside => start = Some(at),
            Some(from) if !inside => {
                words.push((from, &code[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// What the root re-exports, and from which module.
fn exports(lib: &str) -> BTreeMap<String, String> {
    let code = without_comments_and_texts(lib);
    let mut exports = BTreeMap::new();
    for part in code.split("pub use ").skip(1) {
        let Some((statement, _)) = part.split_once(';') else { continue };
        let Some((module, names)) = statement.split_once("::") else { continue };
        let names = names.replace(['{', '}'], " ");
        for name in names.split(',') {
            let last = name.rsplit([':', ' ']).find(|word| !word.is_empty());
            exports.extend(last.map(|last| (last.trim().to_string(), module.trim().to_string())));
        }
    }
    exports
}

/// The text with comments and string contents blanked; lines stay where they are.
fn without_comments_and_texts(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if character == '"' {
            text_end(rest)
        } else if rest.starts_with("'\"'") {
            3
        } else {
            code.push(character);
            rest = &rest[character.len_utf8()..];
            continue;
        };
        code.extend(rest[..skip].chars().filter(|c| *c == '\n'));
        code.push(' ');
        rest = &rest[skip..];
    }
    code
}

/// Where the string that starts here ends.
fn text_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `src/proto/engine.rs` is `proto`, `engine`.
fn module_path(source: &Path, file: &Path) -> Vec<String> {
    let inner = file.strip_prefix(source).unwrap_or(file).with_extension("");
    let mut parts: Vec<String> = inner.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap_or_else(|e| panic!("{}: {e}", folder.display())).path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}
