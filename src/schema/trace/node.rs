//! What is known of one position in a type.

use crate::schema::shape::Leaf;

pub(super) struct Node {
    pub(super) kind: Kind,
    /// Whose visitor asked: the same name means the same type, instances of generics told apart.
    pub(super) visitor: &'static str,
    /// serde's name of the outermost struct or enum here.
    pub(super) name: Option<&'static str>,
    pub(super) depth: usize,
    /// How many answers were refused here.
    pub(super) plan: usize,
    /// Nothing in here is left to see.
    pub(super) done: bool,
    /// The leaves in here, as counted by the last run.
    pub(super) leaves: usize,
    /// The generation in which going in led nowhere.
    pub(super) deferred: Option<u64>,
}

pub(super) enum Kind {
    Unknown,
    Leaf(Leaf),
    Option { item: usize },
    Seq { item: usize, given: usize },
    Map { key: usize, value: usize },
    Tuple { runs: Vec<Items>, total: Option<usize> },
    Struct(Fields),
    Enum(Variants),
    Back(usize),
}

/// Neighbouring items of a tuple that are of one type.
pub(super) struct Items {
    pub(super) seed: &'static str,
    pub(super) count: usize,
    pub(super) node: usize,
}

pub(super) struct Fields {
    pub(super) names: &'static [&'static str],
    pub(super) nodes: Vec<usize>,
    /// How many are really read. Fewer than there are names where fields have aliases.
    pub(super) read: Option<usize>,
    /// Then the names proper, found out one by one.
    pub(super) labels: Vec<&'static str>,
}

pub(super) struct Variants {
    pub(super) names: &'static [&'static str],
    /// By index on the wire. Fewer than there are names where variants have aliases.
    pub(super) known: Vec<Variant>,
    /// The first variant that came to an end.
    pub(super) exit: Option<usize>,
    /// Where there are aliases: for each name, the mark of the variant it means.
    pub(super) marks: Vec<u64>,
}

pub(super) struct Variant {
    pub(super) node: usize,
    pub(super) mark: u64,
    pub(super) deferred: Option<u64>,
}

/// What a type's `Deserialize` asks for, leaves apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Newtype,
    Option,
    Seq,
    Map,
    Tuple,
    Struct(&'static [&'static str]),
    Enum(&'static [&'static str]),
}

impl Fields {
    pub(super) fn wants_labels(&self) -> bool {
        self.read.is_some_and(|read| read < self.names.len() && self.labels.len() < read)
    }
}

impl Variants {
    pub(super) fn wants_marks(&self) -> bool {
        self.known.len() < self.names.len() && self.marks.len() < self.names.len()
    }
}
