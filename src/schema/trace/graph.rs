//! From what was traced to one shape per type, however it was traced.
//!
//! Where a recursive type was first met, and through how many newtypes, must not show in its fingerprint.
//! So the nodes are first sorted into classes of equal shape (Moore's refinement: start with one class, split
//! by what a node is and by the classes of its parts, until nothing splits), and a reference back is
//! written where a node's class is that of one around it.

use super::ROOT;
use super::node::{Fields, Kind, Variants};
use super::tracer::Tracer;
use crate::schema::encode::{put_text, put_varint};
use crate::schema::error::SchemaError;
use crate::schema::shape::{Leaf, Member, Shape};
use crate::schema::{DEPTH_LIMIT, NAME_LIMIT, NODE_LIMIT};
use std::borrow::Cow;
use std::collections::HashMap;

/// The name and the shape of what `tracer` saw.
pub(super) fn shape_of(tracer: &Tracer) -> Result<(String, Shape), SchemaError> {
    let mut writer = Writer { tracer, classes: classes(tracer), path: Vec::new(), written: 0 };
    let shape = writer.write(ROOT)?;
    let mut name = String::new();
    write_name(tracer, ROOT, &mut name);
    Ok((name, shape))
}

/// A class for each node. Without recursion a node's class follows from its parts' alone, but telling the
/// cases apart would save little: the refinement ends after as many rounds as the type is deep.
fn classes(tracer: &Tracer) -> Vec<u32> {
    let mut classes = vec![0; tracer.nodes.len()];
    let mut count = 1;
    loop {
        let mut found: HashMap<Vec<u8>, u32> = HashMap::new();
        let next: Vec<u32> = (0..tracer.nodes.len())
            .map(|node| {
                let new = found.len() as u32;
                *found.entry(signature(tracer, &classes, node)).or_insert(new)
            })
            .collect();
        let grown = found.len() > count;
        (classes, count) = (next, found.len());
        if !grown {
            return classes;
        }
    }
}

/// What tells a node from others, given the present classes of its parts.
fn signature(tracer: &Tracer, classes: &[u32], node: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let part = |out: &mut Vec<u8>, node: usize| put_varint(out, classes[tracer.resolve(node)]);
    match &tracer.nodes[tracer.resolve(node)].kind {
        Kind::Unknown | Kind::Back(_) => out.push(Leaf::Unit.tag()),
        Kind::Leaf(leaf) => out.push(leaf.tag()),
        Kind::Option { item } => {
            out.push(b'o');
            part(&mut out, *item);
        }
        Kind::Seq { item, .. } => {
            out.push(b's');
            part(&mut out, *item);
        }
        Kind::Map { key, value } => {
            out.push(b'm');
            part(&mut out, *key);
            part(&mut out, *value);
        }
        Kind::Tuple { .. } => {
            out.push(b't');
            for (count, class, _) in runs(tracer, classes, node) {
                put_varint(&mut out, count);
                put_varint(&mut out, class);
            }
        }
        Kind::Struct(fields) => {
            out.push(b'f');
            for (name, field) in fields.names_proper().iter().zip(&fields.nodes) {
                put_text(&mut out, name);
                part(&mut out, *field);
            }
        }
        Kind::Enum(variants) => {
            out.push(b'v');
            for (index, variant) in variants.known.iter().enumerate() {
                put_text(&mut out, &variants.label(index));
                part(&mut out, variant.node);
            }
        }
    }
    out
}

/// The runs of a tuple, neighbours of the same class made one: count, class, node.
fn runs(tracer: &Tracer, classes: &[u32], node: usize) -> Vec<(u32, u32, usize)> {
    let mut merged: Vec<(u32, u32, usize)> = Vec::new();
    if let Kind::Tuple { runs, .. } = &tracer.nodes[tracer.resolve(node)].kind {
        for run in runs {
            let class = classes[tracer.resolve(run.node)];
            match merged.last_mut() {
                Some(last) if last.1 == class => last.0 += run.count as u32,
                _ => merged.push((run.count as u32, class, run.node)),
            }
        }
    }
    merged
}

struct Writer<'t> {
    tracer: &'t Tracer,
    classes: Vec<u32>,
    /// The classes of the shapes around the one being written.
    path: Vec<u32>,
    written: usize,
}

impl Writer<'_> {
    fn write(&mut self, node: usize) -> Result<Shape, SchemaError> {
        let tracer = self.tracer;
        let node = tracer.resolve(node);
        let class = self.classes[node];
        self.written += 1;
        if self.path.len() >= DEPTH_LIMIT {
            return Err(self.too_large("it is nested more than 32 levels deep"));
        }
        if self.written > NODE_LIMIT {
            return Err(self.too_large("it has more than 2048 parts"));
        }
        if let Some(around) = self.path.iter().rev().position(|around| *around == class) {
            return Ok(Shape::Back(around as u32 + 1));
        }
        self.path.push(class);
        let shape = match &tracer.nodes[node].kind {
            Kind::Unknown | Kind::Back(_) => Shape::Leaf(Leaf::Unit),
            Kind::Leaf(leaf) => Shape::Leaf(*leaf),
            Kind::Option { item } => Shape::Option(Box::new(self.write(*item)?)),
            Kind::Seq { item, .. } => Shape::Seq(Box::new(self.write(*item)?)),
            Kind::Map { key, value } => Shape::Map(Box::new((self.write(*key)?, self.write(*value)?))),
            Kind::Tuple { .. } => {
                let runs = runs(tracer, &self.classes, node);
                let runs = runs.into_iter().map(|(count, _, item)| Ok((count, self.write(item)?)));
                Shape::Tuple(runs.collect::<Result<_, SchemaError>>()?)
            }
            Kind::Struct(fields) => {
                let members = fields.names_proper().iter().zip(&fields.nodes);
                let members = members.map(|(name, field)| self.member(name, *field));
                Shape::Struct(members.collect::<Result<_, SchemaError>>()?)
            }
            Kind::Enum(variants) => {
                let members = variants.known.iter().enumerate();
                let members = members.map(|(index, part)| self.member(&variants.label(index), part.node));
                Shape::Enum(members.collect::<Result<_, SchemaError>>()?)
            }
        };
        self.path.pop();
        Ok(shape)
    }

    fn member(&mut self, name: &str, node: usize) -> Result<Member, SchemaError> {
        Ok(Member { name: name.into(), shape: self.write(node)? })
    }

    fn too_large(&self, limit: &'static str) -> SchemaError {
        SchemaError::TooLarge { place: format!("`{}`", self.tracer.type_name), limit }
    }
}

impl Fields {
    /// One name for each field that is read.
    fn names_proper(&self) -> &[&'static str] {
        if self.labels.is_empty() { self.names } else { &self.labels }
    }
}

impl Variants {
    /// The variant's name; where there are aliases, all of its names, joined by `|`.
    fn label(&self, index: usize) -> Cow<'static, str> {
        if self.marks.is_empty() {
            return Cow::Borrowed(self.names[index]);
        }
        let meant = self.names.iter().zip(&self.marks).filter(|(_, mark)| **mark == self.known[index].mark);
        Cow::Owned(meant.map(|(name, _)| *name).collect::<Vec<_>>().join("|"))
    }
}

/// serde's name where there is one, else one made of the parts', such as `seq<Imu>` or `[f32;3]`.
fn write_name(tracer: &Tracer, at: usize, out: &mut String) {
    if out.len() > NAME_LIMIT {
        return;
    }
    let node = tracer.resolve(at);
    if let Some(name) = tracer.nodes[at].name.or(tracer.nodes[node].name) {
        out.extend(name.chars().map(|c| if c.is_ascii_graphic() && c != '@' && c != '#' { c } else { '_' }));
        return;
    }
    match &tracer.nodes[node].kind {
        Kind::Unknown => out.push_str(Leaf::Unit.name()),
        Kind::Leaf(leaf) => out.push_str(leaf.name()),
        Kind::Option { item } => write_parts(tracer, "option<", &[*item], ">", out),
        Kind::Seq { item, .. } => write_parts(tracer, "seq<", &[*item], ">", out),
        Kind::Map { key, value } => write_parts(tracer, "map<", &[*key, *value], ">", out),
        Kind::Tuple { runs, .. } => match runs.as_slice() {
            [run] if run.count > 1 => {
                out.push('[');
                write_name(tracer, run.node, out);
                out.push_str(&format!(";{}]", run.count));
            }
            runs => {
                let items = runs.iter().flat_map(|run| std::iter::repeat_n(run.node, run.count));
                write_parts(tracer, "(", &items.take(NAME_LIMIT).collect::<Vec<_>>(), ")", out);
            }
        },
        Kind::Struct(_) => out.push_str("struct"),
        Kind::Enum(_) => out.push_str("enum"),
        Kind::Back(_) => out.push('^'),
    }
}

fn write_parts(tracer: &Tracer, open: &str, parts: &[usize], close: &str, out: &mut String) {
    out.push_str(open);
    for (i, part) in parts.iter().enumerate() {
        out.push_str(if i > 0 { "," } else { "" });
        write_name(tracer, *part, out);
    }
    out.push_str(close);
}
