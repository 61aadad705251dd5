//! Where two shapes differ, in words.

use super::shape::{Member, Shape};
use std::collections::HashSet;
use std::fmt::{self, Write};

/// The first difference, read from the front; `None` where there is none.
pub(super) fn difference(ours: &Shape, theirs: &Shape) -> Option<String> {
    match (ours, theirs) {
        (Shape::Raw, Shape::Raw) => return None,
        (Shape::Versioned(ours), Shape::Versioned(theirs)) => {
            return (ours != theirs)
                .then(|| format!("the schema version stated by hand is {ours} here, {theirs} there"));
        }
        (Shape::Raw | Shape::Versioned(_), _) | (_, Shape::Raw | Shape::Versioned(_)) => {
            return Some(format!("the message is {} here, {} there", short(ours), short(theirs)));
        }
        _ => {}
    }
    let mut walk = Walk { path: Vec::new(), seen: HashSet::new(), gave_up: false };
    let found = walk.compare(&Above { shape: ours, above: None }, &Above { shape: theirs, above: None });
    match found {
        None if walk.gave_up => Some("the types differ, too deep inside to say where".to_owned()),
        found => found.map(|text| clip(&text, TEXT_LIMIT)),
    }
}

/// A shape with those around it, so that a reference back finds its target.
struct Above<'s, 'a> {
    shape: &'a Shape,
    above: Option<&'s Above<'s, 'a>>,
}

impl<'s, 'a> Above<'s, 'a> {
    fn below(&'s self, shape: &'a Shape) -> Above<'s, 'a> {
        Above { shape, above: Some(self) }
    }

    /// Follows references back. A chain of them goes strictly upward, so it ends.
    fn resolved(&'s self) -> &'s Above<'s, 'a> {
        let mut here = self;
        while let Shape::Back(levels) = here.shape {
            let mut target = here;
            for _ in 0..*levels {
                target = target.above.unwrap_or(target);
            }
            if std::ptr::eq(target, here) {
                return here;
            }
            here = target;
        }
        here
    }
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Field(&'a str),
    Variant(&'a str),
    Index(u32),
    Inside(&'static str),
}

struct Walk<'a> {
    path: Vec<Segment<'a>>,
    /// Pairs already compared: what makes recursive shapes end.
    seen: HashSet<(*const Shape, *const Shape)>,
    gave_up: bool,
}

impl<'a> Walk<'a> {
    fn compare(&mut self, ours: &Above<'_, 'a>, theirs: &Above<'_, 'a>) -> Option<String> {
        let (ours, theirs) = (ours.resolved(), theirs.resolved());
        if !self.seen.insert((ours.shape, theirs.shape)) {
            return None;
        }
        if self.path.len() >= PATH_LIMIT || self.seen.len() >= PAIR_LIMIT {
            self.gave_up = true;
            return None;
        }
        match (ours.shape, theirs.shape) {
            (Shape::Leaf(here), Shape::Leaf(there)) if here == there => None,
            (Shape::Option(here), Shape::Option(there)) => {
                self.inside(Segment::Inside("?"), &ours.below(here), &theirs.below(there))
            }
            (Shape::Seq(here), Shape::Seq(there)) => {
                self.inside(Segment::Inside("[]"), &ours.below(here), &theirs.below(there))
            }
            (Shape::Map(here), Shape::Map(there)) => {
                self.inside(Segment::Inside("[key]"), &ours.below(&here.0), &theirs.below(&there.0)).or_else(
                    || self.inside(Segment::Inside("[value]"), &ours.below(&here.1), &theirs.below(&there.1)),
                )
            }
            (Shape::Tuple(here), Shape::Tuple(there)) if total(here) == total(there) => {
                self.runs(ours, here, theirs, there)
            }
            (Shape::Struct(here), Shape::Struct(there)) => self
                .names("field", here, there)
                .or_else(|| self.members(Segment::Field, ours, here, theirs, there)),
            (Shape::Enum(here), Shape::Enum(there)) => self
                .names("variant", here, there)
                .or_else(|| self.members(Segment::Variant, ours, here, theirs, there)),
            (here, there) => {
                Some(format!("{} is {} here, {} there", self.place(), short(here), short(there)))
            }
        }
    }

    fn inside(
        &mut self,
        segment: Segment<'a>,
        ours: &Above<'_, 'a>,
        theirs: &Above<'_, 'a>,
    ) -> Option<String> {
        self.path.push(segment);
        let found = self.compare(ours, theirs);
        self.path.pop();
        found
    }

    fn members(
        &mut self,
        segment: fn(&'a str) -> Segment<'a>,
        ours: &Above<'_, 'a>,
        here: &'a [Member],
        theirs: &Above<'_, 'a>,
        there: &'a [Member],
    ) -> Option<String> {
        here.iter().zip(there).find_map(|(here, there)| {
            self.inside(segment(&here.name), &ours.below(&here.shape), &theirs.below(&there.shape))
        })
    }

    /// Both have the same total: each step compares the items at the start of a run on either side.
    fn runs(
        &mut self,
        ours: &Above<'_, 'a>,
        here: &'a [(u32, Shape)],
        theirs: &Above<'_, 'a>,
        there: &'a [(u32, Shape)],
    ) -> Option<String> {
        let (mut here, mut there) = (here.iter(), there.iter());
        let (mut left_here, mut left_there) = (here.next()?, there.next()?);
        let (mut count_here, mut count_there) = (u64::from(left_here.0), u64::from(left_there.0));
        let mut index = 0u64;
        loop {
            let segment = Segment::Index(u32::try_from(index).unwrap_or(u32::MAX));
            let found = self.inside(segment, &ours.below(&left_here.1), &theirs.below(&left_there.1));
            if found.is_some() {
                return found;
            }
            let step = count_here.min(count_there);
            (count_here, count_there, index) = (count_here - step, count_there - step, index + step);
            if count_here == 0 {
                left_here = here.next()?;
                count_here = u64::from(left_here.0);
            }
            if count_there == 0 {
                left_there = there.next()?;
                count_there = u64::from(left_there.0);
            }
        }
    }

    fn names(&self, kind: &str, here: &[Member], there: &[Member]) -> Option<String> {
        if here.iter().map(|m| &m.name).eq(there.iter().map(|m| &m.name)) {
            return None;
        }
        let only = |these: &[Member], others: &[Member]| {
            let others: HashSet<&str> = others.iter().map(|m| &*m.name).collect();
            let names: Vec<String> =
                these.iter().filter(|m| !others.contains(&*m.name)).map(|m| self.below(&m.name)).collect();
            (!names.is_empty()).then(|| list(kind, &names))
        };
        Some(match (only(here, there), only(there, here)) {
            (Some(here), Some(there)) => format!("{here} only here, {there} only there"),
            (Some(here), None) => format!("{here} only here"),
            (None, Some(there)) => format!("{there} only there"),
            (None, None) => {
                let place =
                    if self.path.is_empty() { String::new() } else { format!(" in `{}`", self.text()) };
                let same = here.iter().zip(there).take_while(|(here, there)| here.name == there.name).count();
                let (here, there) = (in_order(here, same), in_order(there, same));
                format!("{kind} order differs{place}: {here} here; {there} there")
            }
        })
    }

    fn place(&self) -> String {
        match self.path.last() {
            None => "the message".to_owned(),
            Some(Segment::Variant(_)) => format!("variant `{}`", self.text()),
            Some(_) => format!("field `{}`", self.text()),
        }
    }

    fn below(&self, name: &str) -> String {
        let dot = if self.path.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.text(), shown(name))
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for segment in &self.path {
            match segment {
                Segment::Inside(mark) => text.push_str(mark),
                Segment::Field(name) | Segment::Variant(name) => push_part(&mut text, &shown(name)),
                Segment::Index(index) => push_part(&mut text, &index.to_string()),
            }
        }
        text
    }
}

fn total(runs: &[(u32, Shape)]) -> u64 {
    runs.iter().map(|(count, _)| u64::from(*count)).sum()
}

pub(super) fn push_part(text: &mut String, part: &str) {
    if !text.is_empty() {
        text.push('.');
    }
    text.push_str(part);
}

/// "field `a` is", "fields `a`, `b` and 3 more are".
fn list(kind: &str, names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().take(LIST_LIMIT).map(|name| format!("`{name}`")).collect();
    let (quoted, left) = (quoted.join(", "), names.len().saturating_sub(LIST_LIMIT));
    match (names.len(), left) {
        (1, _) => format!("{kind} {quoted} is"),
        (_, 0) => format!("{kind}s {quoted} are"),
        (_, left) => format!("{kind}s {quoted} and {left} more are"),
    }
}

/// The names in order, without the `same` first ones that both sides share.
fn in_order(members: &[Member], same: usize) -> String {
    let names: Vec<String> = members.iter().skip(same).take(ORDER_LIMIT).map(|m| shown(&m.name)).collect();
    let before = if same > 0 { "…, " } else { "" };
    let more = if members.len() > same + ORDER_LIMIT { ", …" } else { "" };
    format!("{before}{}{more}", names.join(", "))
}

/// A peer's name may hold anything: nothing of it shall steer a terminal.
fn shown(name: &str) -> String {
    clip(&name.escape_debug().to_string(), NAME_LIMIT)
}

fn short(shape: &Shape) -> String {
    let mut text = Short(String::new());
    // An error here means that the limit was reached, which is what it is for.
    let _ = write!(text, "{shape}");
    clip(&text.0, SHAPE_LIMIT)
}

/// Stops the writing of a shape that is longer than will be shown.
struct Short(String);

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text);
        if self.0.len() > SHAPE_LIMIT { Err(fmt::Error) } else { Ok(()) }
    }
}

/// At most `limit` bytes and an ellipsis.
pub(super) fn clip(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

const TEXT_LIMIT: usize = 480;
const NAME_LIMIT: usize = 64;
const SHAPE_LIMIT: usize = 80;
const LIST_LIMIT: usize = 3;
const ORDER_LIMIT: usize = 8;
/// Deeper than any shape; recursive ones may be walked round several times before they differ.
const PATH_LIMIT: usize = 96;
const PAIR_LIMIT: usize = 16_384;
