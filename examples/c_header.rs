//! Prints C for message types: a struct, what encodes and decodes it, the type's name and its fingerprint,
//! for firmware built with `examples/firmware/bowline.h`.
//!
//!     cargo run --example c_header > examples/firmware/messages.h
//!
//! Put your own types into `main`. What C wants to know is in the type's schema; nothing is parsed from
//! Rust sources, and no build script is needed.

use bowline::Message;
use std::error::Error;
use std::fmt::Write;

#[path = "firmware/messages.rs"]
#[allow(dead_code, reason = "only their shapes are looked at")]
mod messages;

fn main() -> Result<(), Box<dyn Error>> {
    println!("/* Made by `cargo run --example c_header`; not to be edited. */");
    println!("#ifndef MESSAGES_H\n#define MESSAGES_H\n\n#include \"bowline.h\"\n");
    println!(
        "/* The most items of a text or list. */\n#ifndef MESSAGE_ITEMS\n#define MESSAGE_ITEMS 32\n#endif\n"
    );
    print!("{}", header::<messages::Imu>()?);
    print!("{}", header::<messages::Setpoint>()?);
    print!("{}", header::<messages::Status>()?);
    print!("{}", header::<messages::Command>()?);
    println!("#endif");
    Ok(())
}

fn header<T: Message>() -> Result<String, Box<dyn Error>> {
    let schema = T::schema()?;
    if T::CODEC != "bincode-2" {
        return Err(format!("{}: its codec is {}, this prints bincode-2", schema.name(), T::CODEC).into());
    }
    let bytes = schema.to_bytes();
    let mut bytes = Bytes { rest: &bytes };
    let name = identifier(&bytes.text()?);
    let shape = bytes.shape()?;
    let upper = name.to_uppercase();

    let mut out = String::new();
    writeln!(out, "/* {schema} */")?;
    writeln!(out, "#define {upper}_TYPE \"{}\"", schema.name())?;
    writeln!(out, "#define {upper}_FINGERPRINT UINT64_C(0x{:016X})", schema.fingerprint())?;
    writeln!(out, "#define {upper}_SIZE ({})  /* encoded, at most */\n", size(&shape)?)?;
    constants(&mut out, &shape, &upper)?;
    let mut members = String::new();
    declare(&mut members, &shape, &name, 0)?;
    writeln!(out, "typedef {members}\n")?;
    writeln!(out, "static inline void {name}_encode(bowline_writer *w, const {name} *v) {{")?;
    encode(&mut out, &shape, "(*v)", 1)?;
    writeln!(out, "}}\n")?;
    writeln!(out, "/* False: this is none. */")?;
    writeln!(out, "static inline bool {name}_decode({name} *v, const void *payload, size_t size) {{")?;
    writeln!(
        out,
        "  bowline_reader reader = {{ payload, (const uint8_t *)payload + size, false }}, *r = &reader;"
    )?;
    decode(&mut out, &shape, "(*v)", 1)?;
    writeln!(out, "  return !r->failed && r->at == r->end;\n}}\n")?;
    Ok(out)
}

/// What a schema's bytes say, as `PROTOCOL.md` has it under "Schema fingerprint".
enum Shape {
    Bool,
    /// The bits, and whether it has a sign.
    Integer(u32, bool),
    Float(u32),
    Text,
    Unit,
    Option(Box<Shape>),
    Seq(Box<Shape>),
    /// Runs of equal items: how many, and of what.
    Tuple(Vec<(u32, Shape)>),
    Struct(Vec<(String, Shape)>),
    Enum(Vec<(String, Shape)>),
}

struct Bytes<'a> {
    rest: &'a [u8],
}

type Read<T> = Result<T, Box<dyn Error>>;

impl Bytes<'_> {
    fn byte(&mut self) -> Read<u8> {
        let (&first, rest) = self.rest.split_first().ok_or("the schema ends early")?;
        self.rest = rest;
        Ok(first)
    }

    fn number(&mut self) -> Read<u32> {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    fn text(&mut self) -> Read<String> {
        let length = self.number()? as usize;
        let (text, rest) = self.rest.split_at_checked(length).ok_or("the schema ends early")?;
        self.rest = rest;
        Ok(String::from_utf8(text.to_vec())?)
    }

    fn shape(&mut self) -> Read<Shape> {
        Ok(match self.byte()? {
            0x01 => Shape::Bool,
            tag @ 0x02..=0x05 => Shape::Integer(8 << (tag - 2), true),
            tag @ 0x07..=0x0A => Shape::Integer(8 << (tag - 7), false),
            0x0C => Shape::Float(32),
            0x0D => Shape::Float(64),
            0x0F => Shape::Text,
            0x10 => Shape::Seq(Box::new(Shape::Integer(8, false))),
            0x11 => Shape::Unit,
            0x20 => Shape::Option(Box::new(self.shape()?)),
            0x21 => Shape::Seq(Box::new(self.shape()?)),
            0x23 => {
                let runs = self.number()?;
                Shape::Tuple((0..runs).map(|_| Ok((self.number()?, self.shape()?))).collect::<Read<_>>()?)
            }
            0x24 => Shape::Struct(self.members()?),
            0x25 => Shape::Enum(self.members()?),
            tag => {
                return Err(format!(
                    "shape {tag:02X} (128 bits, a character, a map, a type within itself) is none for C"
                )
                .into());
            }
        })
    }

    fn members(&mut self) -> Read<Vec<(String, Shape)>> {
        let count = self.number()?;
        (0..count).map(|_| Ok((self.text()?, self.shape()?))).collect()
    }
}

/// A name that C takes.
fn identifier(name: &str) -> String {
    let taken = [
        "auto", "break", "case", "char", "const", "default", "do", "double", "else", "enum", "extern",
        "float", "for", "goto", "if", "int", "long", "register", "return", "short", "signed", "sizeof",
        "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while", "bool",
        "true", "false", "inline",
    ];
    let mut name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if taken.contains(&name.as_str()) || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

/// The most bytes it takes, as an expression of C.
fn size(shape: &Shape) -> Read<String> {
    Ok(match shape {
        Shape::Bool | Shape::Integer(8, _) => "1".to_owned(),
        Shape::Integer(bits, _) => (bits / 8 + 1).to_string(),
        Shape::Float(bits) => (bits / 8).to_string(),
        Shape::Text => "3 + MESSAGE_ITEMS".to_owned(),
        Shape::Unit => "0".to_owned(),
        Shape::Option(item) => format!("1 + {}", size(item)?),
        Shape::Seq(item) => format!("3 + MESSAGE_ITEMS * ({})", size(item)?),
        Shape::Tuple(runs) => {
            let runs = runs
                .iter()
                .map(|(count, item)| Ok(format!("{count} * ({})", size(item)?)))
                .collect::<Read<Vec<_>>>()?;
            runs.join(" + ")
        }
        Shape::Struct(fields) => {
            let fields = fields.iter().map(|(_, item)| size(item)).collect::<Read<Vec<_>>>()?;
            fields.join(" + ")
        }
        // C has no maximum; the sum of all is enough, and small for commands.
        Shape::Enum(variants) => {
            let variants = variants.iter().map(|(_, item)| size(item)).collect::<Read<Vec<_>>>()?;
            format!("1 + {}", variants.join(" + "))
        }
    })
}

/// The variants of enums by name.
fn constants(out: &mut String, shape: &Shape, prefix: &str) -> Read<()> {
    match shape {
        Shape::Enum(variants) => {
            let names: Vec<_> = variants
                .iter()
                .map(|(name, _)| format!("{prefix}_{}", identifier(name).to_uppercase()))
                .collect();
            writeln!(out, "enum {{ {} }};\n", names.join(", "))?;
            variants.iter().try_for_each(|(name, item)| {
                constants(out, item, &format!("{prefix}_{}", name.to_uppercase()))
            })
        }
        Shape::Struct(fields) => fields
            .iter()
            .try_for_each(|(name, item)| constants(out, item, &format!("{prefix}_{}", name.to_uppercase()))),
        Shape::Option(item) | Shape::Seq(item) => constants(out, item, prefix),
        Shape::Tuple(runs) => runs.iter().try_for_each(|(_, item)| constants(out, item, prefix)),
        _ => Ok(()),
    }
}

/// `shape name;`, lines after the first indented.
fn declare(out: &mut String, shape: &Shape, name: &str, level: usize) -> Read<()> {
    let pad = "  ".repeat(level + 1);
    let end = "  ".repeat(level);
    match shape {
        Shape::Bool => write!(out, "bool {name};")?,
        Shape::Integer(bits, true) => write!(out, "int{bits}_t {name};")?,
        Shape::Integer(bits, false) => write!(out, "uint{bits}_t {name};")?,
        Shape::Float(32) => write!(out, "float {name};")?,
        Shape::Float(_) => write!(out, "double {name};")?,
        Shape::Unit => write!(out, "uint8_t {name}; /* nothing */")?,
        Shape::Text => write!(out, "struct {{ uint32_t count; char item[MESSAGE_ITEMS]; }} {name};")?,
        Shape::Option(item) => {
            write!(out, "struct {{\n{pad}bool some;\n{pad}")?;
            declare(out, item, "value", level + 1)?;
            write!(out, "\n{end}}} {name};")?;
        }
        Shape::Seq(item) => {
            write!(out, "struct {{\n{pad}uint32_t count;\n{pad}")?;
            declare(out, item, "item[MESSAGE_ITEMS]", level + 1)?;
            write!(out, "\n{end}}} {name};")?;
        }
        Shape::Tuple(runs) if runs.len() == 1 => {
            let (count, item) = &runs[0];
            let array = if level == 0 {
                format!("struct {{ {} }} {name};", inner(item, &format!("item[{count}]"), level)?)
            } else {
                inner(item, &format!("{name}[{count}]"), level)?
            };
            out.push_str(&array);
        }
        Shape::Tuple(runs) => {
            writeln!(out, "struct {{")?;
            for (index, (count, item)) in runs.iter().enumerate() {
                out.push_str(&pad);
                declare(out, item, &format!("run{index}[{count}]"), level + 1)?;
                out.push('\n');
            }
            write!(out, "{end}}} {name};")?;
        }
        Shape::Struct(fields) => {
            writeln!(out, "struct {{")?;
            for (field, item) in fields {
                out.push_str(&pad);
                declare(out, item, &identifier(field), level + 1)?;
                out.push('\n');
            }
            write!(out, "{end}}} {name};")?;
        }
        Shape::Enum(variants) => {
            writeln!(out, "struct {{\n{pad}uint8_t kind;")?;
            if variants.iter().any(|(_, item)| !matches!(item, Shape::Unit)) {
                writeln!(out, "{pad}union {{")?;
                for (variant, item) in variants.iter().filter(|(_, item)| !matches!(item, Shape::Unit)) {
                    write!(out, "{pad}  ")?;
                    declare(out, item, &identifier(variant), level + 2)?;
                    out.push('\n');
                }
                writeln!(out, "{pad}}} as;")?;
            }
            write!(out, "{end}}} {name};")?;
        }
    }
    Ok(())
}

fn inner(shape: &Shape, name: &str, level: usize) -> Read<String> {
    let mut out = String::new();
    declare(&mut out, shape, name, level)?;
    Ok(out)
}

fn encode(out: &mut String, shape: &Shape, at: &str, level: usize) -> Read<()> {
    let pad = "  ".repeat(level);
    match shape {
        Shape::Bool | Shape::Integer(8, false) => writeln!(out, "{pad}bowline_put_u8(w, {at});")?,
        Shape::Integer(8, true) => writeln!(out, "{pad}bowline_put_u8(w, (uint8_t){at});")?,
        Shape::Integer(_, true) => writeln!(out, "{pad}bowline_put_int(w, {at});")?,
        Shape::Integer(_, false) => writeln!(out, "{pad}bowline_put_uint(w, {at});")?,
        Shape::Float(bits) => writeln!(out, "{pad}bowline_put_f{bits}(w, {at});")?,
        Shape::Text => {
            writeln!(out, "{pad}bowline_put_uint(w, {at}.count);")?;
            writeln!(out, "{pad}bowline_put_bytes(w, {at}.item, {at}.count);")?;
        }
        Shape::Unit => {}
        Shape::Option(item) => {
            writeln!(out, "{pad}bowline_put_u8(w, {at}.some);\n{pad}if ({at}.some) {{")?;
            encode(out, item, &format!("{at}.value"), level + 1)?;
            writeln!(out, "{pad}}}")?;
        }
        Shape::Seq(item) => {
            writeln!(out, "{pad}bowline_put_uint(w, {at}.count);")?;
            each(out, &format!("{at}.count"), level, |out, index| {
                encode(out, item, &format!("{at}.item[{index}]"), level + 1)
            })?;
        }
        Shape::Tuple(runs) => runs.iter().enumerate().try_for_each(|(index, (count, item))| {
            let array = array(runs.len(), index, at);
            each(out, &count.to_string(), level, |out, i| {
                encode(out, item, &format!("{array}[{i}]"), level + 1)
            })
        })?,
        Shape::Struct(fields) => {
            fields.iter().try_for_each(|(field, item)| {
                encode(out, item, &format!("{at}.{}", identifier(field)), level)
            })?;
        }
        Shape::Enum(variants) => {
            writeln!(out, "{pad}bowline_put_uint(w, {at}.kind);")?;
            for (index, (variant, item)) in
                variants.iter().enumerate().filter(|(_, (_, item))| !matches!(item, Shape::Unit))
            {
                writeln!(out, "{pad}if ({at}.kind == {index}) {{")?;
                encode(out, item, &format!("{at}.as.{}", identifier(variant)), level + 1)?;
                writeln!(out, "{pad}}}")?;
            }
        }
    }
    Ok(())
}

fn decode(out: &mut String, shape: &Shape, at: &str, level: usize) -> Read<()> {
    let pad = "  ".repeat(level);
    match shape {
        Shape::Bool => writeln!(out, "{pad}{at} = bowline_get_bool(r);")?,
        Shape::Integer(8, signed) => {
            writeln!(out, "{pad}{at} = {}bowline_get_u8(r);", if *signed { "(int8_t)" } else { "" })?;
        }
        Shape::Integer(bits, true) => {
            writeln!(out, "{pad}{at} = (int{bits}_t)bowline_get_int(r, INT{bits}_MAX);")?
        }
        Shape::Integer(bits, false) => {
            writeln!(out, "{pad}{at} = (uint{bits}_t)bowline_get_uint(r, UINT{bits}_MAX);")?
        }
        Shape::Float(bits) => writeln!(out, "{pad}{at} = bowline_get_f{bits}(r);")?,
        Shape::Text => {
            writeln!(out, "{pad}{at}.count = (uint32_t)bowline_get_uint(r, MESSAGE_ITEMS);")?;
            writeln!(out, "{pad}bowline_get_bytes(r, {at}.item, {at}.count);")?;
        }
        Shape::Unit => {}
        Shape::Option(item) => {
            writeln!(out, "{pad}{at}.some = bowline_get_bool(r);\n{pad}if ({at}.some) {{")?;
            decode(out, item, &format!("{at}.value"), level + 1)?;
            writeln!(out, "{pad}}}")?;
        }
        Shape::Seq(item) => {
            writeln!(out, "{pad}{at}.count = (uint32_t)bowline_get_uint(r, MESSAGE_ITEMS);")?;
            each(out, &format!("{at}.count"), level, |out, index| {
                decode(out, item, &format!("{at}.item[{index}]"), level + 1)
            })?;
        }
        Shape::Tuple(runs) => runs.iter().enumerate().try_for_each(|(index, (count, item))| {
            let array = array(runs.len(), index, at);
            each(out, &count.to_string(), level, |out, i| {
                decode(out, item, &format!("{array}[{i}]"), level + 1)
            })
        })?,
        Shape::Struct(fields) => {
            fields.iter().try_for_each(|(field, item)| {
                decode(out, item, &format!("{at}.{}", identifier(field)), level)
            })?;
        }
        Shape::Enum(variants) => {
            writeln!(out, "{pad}{at}.kind = (uint8_t)bowline_get_uint(r, {});", variants.len() - 1)?;
            for (index, (variant, item)) in
                variants.iter().enumerate().filter(|(_, (_, item))| !matches!(item, Shape::Unit))
            {
                writeln!(out, "{pad}if ({at}.kind == {index}) {{")?;
                decode(out, item, &format!("{at}.as.{}", identifier(variant)), level + 1)?;
                writeln!(out, "{pad}}}")?;
            }
        }
    }
    Ok(())
}

/// Where the items of a run are. A lone run is an array itself, but where it is the whole type.
fn array(runs: usize, index: usize, at: &str) -> String {
    match (runs, at) {
        (1, "(*v)") => format!("{at}.item"),
        (1, _) => at.to_owned(),
        _ => format!("{at}.run{index}"),
    }
}

/// A loop over items; nested ones count by other letters.
fn each(
    out: &mut String,
    count: &str,
    level: usize,
    body: impl FnOnce(&mut String, &str) -> Read<()>,
) -> Read<()> {
    let (pad, index) = ("  ".repeat(level), format!("i{level}"));
    writeln!(out, "{pad}for (uint32_t {index} = 0; {index} < {count}; {index}++) {{")?;
    body(out, &index)?;
    writeln!(out, "{pad}}}")?;
    Ok(())
}
