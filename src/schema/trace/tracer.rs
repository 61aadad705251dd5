//! The tracer's memory: what is known of a type, and where the present run is in it.

use super::ROOT;
use super::decoder::At;
use super::fault::Fault;
use super::node::{Asked, Fields, Kind, Node, Variant, Variants};
use super::values::plans;
use crate::schema::difference::{clip, push_part};
use crate::schema::error::SchemaError;
use crate::schema::shape::Leaf;
use crate::schema::{DEPTH_LIMIT, NODE_LIMIT};
use serde::de::DeserializeSeed;

/// All that is known of a type so far, and where the present run is in it.
pub(super) struct Tracer {
    pub(super) type_name: &'static str,
    pub(super) nodes: Vec<Node>,
    /// Counts what was learnt; a run that adds nothing is the last.
    learnt: u64,
    learnt_before: u64,
    /// Counts the enums whose `exit` is known: what was deferred before may now work.
    generation: u64,
    steps: u32,
    visits: u32,
    run: Run,
}

/// The present run.
#[derive(Default)]
struct Run {
    open: Vec<Open>,
    path: Vec<Segment>,
    rules: Vec<Rule>,
    /// Inside a reference back: nothing is explored, only a value is wanted.
    finishing: bool,
    leaves: usize,
    /// Set when the run is given up. A type may swallow the error, so it is kept here.
    halt: Option<Halt>,
}

enum Halt {
    Again,
    Fatal(SchemaError),
}

struct Open {
    visitor: &'static str,
    asked: Asked,
    node: usize,
    finishing: bool,
    finishing_before: bool,
    choice: Option<Choice>,
    rule: bool,
    leaves_before: usize,
}

#[derive(Clone, Copy)]
pub(super) struct Choice {
    pub(super) node: usize,
    pub(super) variant: Option<usize>,
}

/// How the leaves inside a node that refused its values are chosen.
struct Rule {
    plan: usize,
    next: usize,
    total: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Segment {
    Name(&'static str),
    Index(usize),
    Mark(&'static str),
}

impl Tracer {
    pub(super) fn new(type_name: &'static str) -> Self {
        let mut tracer = Self {
            type_name,
            nodes: Vec::new(),
            learnt: 0,
            learnt_before: 0,
            generation: 0,
            steps: 0,
            visits: 0,
            run: Run::default(),
        };
        tracer.add_node(1);
        tracer
    }

    pub(super) fn begin(&mut self) {
        self.run = Run::default();
        self.learnt_before = self.learnt;
    }

    /// Whether all is seen.
    pub(super) fn end(&mut self, fault: Option<Fault>) -> Result<bool, SchemaError> {
        match (self.run.halt.is_some(), fault) {
            (false, Some(fault)) => self.blame(ROOT, &fault),
            (false, None) => self.settle(ROOT),
            (true, _) => {}
        }
        match self.run.halt.take() {
            Some(Halt::Fatal(error)) => Err(error),
            Some(Halt::Again) => Ok(false),
            None if self.nodes[ROOT].done => Ok(true),
            None if self.learnt > self.learnt_before => Ok(false),
            None => Err(SchemaError::Endless { place: self.place() }),
        }
    }

    pub(super) fn add_node(&mut self, depth: usize) -> usize {
        self.nodes.push(Node {
            kind: Kind::Unknown,
            visitor: "",
            name: None,
            depth,
            plan: 0,
            done: false,
            leaves: 0,
            deferred: None,
        });
        self.nodes.len() - 1
    }

    /// A leaf is asked for at `at`: which of its `values` to give.
    pub(super) fn leaf(&mut self, at: usize, leaf: Leaf, values: usize) -> Result<usize, Fault> {
        self.visit()?;
        let node = &mut self.nodes[at];
        match node.kind {
            Kind::Unknown => {
                node.kind = Kind::Leaf(leaf);
                node.done = true;
                self.learnt += 1;
            }
            Kind::Leaf(known) if known == leaf => {}
            _ => return Err(self.value_dependent()),
        }
        let plan = self.nodes[at].plan + self.run.rules.last_mut().map_or(0, Rule::next);
        self.run.leaves += 1;
        Ok(plan % values)
    }

    /// Something with parts is asked for at `at`: opens its node, which is another one where a type
    /// contains itself. To be followed by [`leave`](Self::leave).
    pub(super) fn enter(&mut self, at: usize, visitor: &'static str, asked: Asked) -> Result<usize, Fault> {
        self.visit()?;
        let finishing_before = self.run.finishing;
        if matches!(self.nodes[at].kind, Kind::Unknown) {
            let open = self.run.open.iter().rev();
            if let Some(open) = { open }.find(|open| open.visitor == visitor && open.asked == asked) {
                if open.node == at {
                    return Err(self.fatal(|place| SchemaError::Endless { place }));
                }
                self.nodes[at].kind = Kind::Back(open.node);
                self.nodes[at].done = true;
                self.learnt += 1;
            }
        }
        let node = self.resolve(at);
        if node != at {
            self.run.finishing = true;
        }
        if self.run.finishing {
            let again = |open: &Open| open.finishing && open.node == node && open.visitor == visitor;
            if self.run.open.iter().any(again) {
                return Err(self.block());
            }
        }
        if self.run.open.len() >= NEST_LIMIT {
            return Err(self.too_large("its types are nested more than 100 levels deep"));
        }
        if !self.nodes[node].done {
            self.step()?;
        }
        if asked != Asked::Newtype {
            self.agree(node, visitor, asked)?;
        }
        let (plan, total) = (self.nodes[node].plan, self.nodes[node].leaves);
        let rule = plan > 0 && matches!(asked, Asked::Tuple | Asked::Struct(_) | Asked::Enum(_));
        if rule {
            self.run.rules.push(Rule { plan, next: 0, total });
        }
        self.run.open.push(Open {
            visitor,
            asked,
            node,
            finishing: self.run.finishing,
            finishing_before,
            choice: None,
            rule,
            leaves_before: self.run.leaves,
        });
        Ok(node)
    }

    /// Makes an unknown node what is asked for; a known one must be just that.
    fn agree(&mut self, node: usize, visitor: &'static str, asked: Asked) -> Result<(), Fault> {
        let known = match (&self.nodes[node].kind, asked) {
            (Kind::Unknown, _) => None,
            (Kind::Option { .. }, Asked::Option)
            | (Kind::Seq { .. }, Asked::Seq)
            | (Kind::Map { .. }, Asked::Map)
            | (Kind::Tuple { .. }, Asked::Tuple) => Some(true),
            (Kind::Struct(fields), Asked::Struct(names)) => Some(fields.names == names),
            (Kind::Enum(variants), Asked::Enum(names)) => Some(variants.names == names),
            _ => Some(false),
        };
        match known {
            Some(true) if self.nodes[node].visitor == visitor => return Ok(()),
            Some(_) => return Err(self.value_dependent()),
            None => {}
        }
        let depth = self.nodes[node].depth + 1;
        if depth > DEPTH_LIMIT {
            return Err(self.too_large("it is nested more than 32 levels deep"));
        }
        if self.nodes.len() > 2 * NODE_LIMIT {
            return Err(self.too_large("it has more than 2048 parts"));
        }
        if matches!(asked, Asked::Struct(names) | Asked::Enum(names) if names.len() > NODE_LIMIT) {
            return Err(self.too_large("it has more than 2048 parts"));
        }
        let kind = match asked {
            Asked::Newtype => return Ok(()),
            Asked::Option => Kind::Option { item: self.add_node(depth) },
            Asked::Seq => Kind::Seq { item: self.add_node(depth), given: 0 },
            Asked::Map => Kind::Map { key: self.add_node(depth), value: self.add_node(depth) },
            Asked::Tuple => Kind::Tuple { runs: Vec::new(), total: None },
            Asked::Struct(names) => {
                Kind::Struct(Fields { names, nodes: Vec::new(), read: None, labels: Vec::new() })
            }
            Asked::Enum(names) => {
                let known = names.iter();
                let known =
                    known.map(|_| Variant { node: self.add_node(depth), mark: 0, deferred: None }).collect();
                Kind::Enum(Variants { names, known, exit: None, marks: Vec::new() })
            }
        };
        self.nodes[node].kind = kind;
        self.nodes[node].visitor = visitor;
        self.learnt += 1;
        Ok(())
    }

    /// The counterpart of [`enter`](Self::enter), with what the visitor had to say of the parts. Values stay
    /// with the caller: each copy of a large one would cost stack.
    pub(super) fn leave(&mut self, node: usize, fault: Option<&Fault>) -> Result<(), Fault> {
        if self.run.halt.is_some() {
            return Err(Fault::halted());
        }
        let Some(open) = self.run.open.pop() else {
            return Ok(());
        };
        self.run.finishing = open.finishing_before;
        self.nodes[node].leaves = self.run.leaves - open.leaves_before;
        if open.rule {
            self.run.rules.pop();
        }
        match fault {
            // A newtype is no node of its own: who asked for it will see the fault.
            Some(_) if open.asked == Asked::Newtype => {}
            Some(fault) => self.blame(node, fault),
            None if !self.nodes[node].done && self.is_done(node) => {
                self.nodes[node].done = true;
                self.learnt += 1;
            }
            None => {}
        }
        Ok(())
    }

    fn is_done(&self, node: usize) -> bool {
        let done = |node: &usize| self.nodes[*node].done;
        match &self.nodes[node].kind {
            Kind::Unknown => false,
            Kind::Leaf(_) | Kind::Back(_) => true,
            Kind::Option { item } | Kind::Seq { item, .. } => done(item),
            Kind::Map { key, value } => done(key) && done(value),
            Kind::Tuple { runs, total } => total.is_some() && runs.iter().all(|run| done(&run.node)),
            Kind::Struct(fields) => {
                fields.read.is_some() && !fields.wants_labels() && fields.nodes.iter().all(done)
            }
            Kind::Enum(variants) => {
                !variants.wants_marks() && variants.known.iter().all(|variant| done(&variant.node))
            }
        }
    }

    /// Decodes the part at `node` and looks at how it went.
    pub(super) fn part<'de, S: DeserializeSeed<'de>>(
        &mut self,
        node: usize,
        segment: Segment,
        seed: S,
    ) -> Result<S::Value, Fault> {
        self.run.path.push(segment);
        let result = seed.deserialize(At::new(self, node));
        self.looked_at(node, result.as_ref().err())?;
        result
    }

    fn looked_at(&mut self, node: usize, fault: Option<&Fault>) -> Result<(), Fault> {
        if self.run.halt.is_some() {
            return Err(Fault::halted());
        }
        match fault {
            Some(fault) => self.blame(node, fault),
            None => {
                self.settle(node);
                self.run.path.pop();
            }
        }
        Ok(())
    }

    /// A type that was decoded without asking for anything takes no bytes.
    pub(super) fn settle(&mut self, node: usize) {
        if matches!(self.nodes[node].kind, Kind::Unknown) {
            self.nodes[node].kind = Kind::Leaf(Leaf::Unit);
            self.nodes[node].done = true;
            self.learnt += 1;
        }
    }

    /// The value made of `at` was refused: the next run gives another one there.
    pub(super) fn blame(&mut self, at: usize, fault: &Fault) {
        if self.run.halt.is_some() {
            return;
        }
        let node = self.resolve(at);
        let node = &mut self.nodes[node];
        node.plan += 1;
        if node.plan < plans(&node.kind) {
            self.again();
        } else {
            self.fatal(|place| SchemaError::Refused { place, text: fault.text.clone() });
        }
    }

    /// No value can be made here for now: the last free choice is not taken again until more is known.
    pub(super) fn block(&mut self) -> Fault {
        let Some(choice) = self.run.open.iter().rev().find_map(|open| open.choice) else {
            return self.fatal(|place| SchemaError::Endless { place });
        };
        let deferred = Some(self.generation);
        match (&mut self.nodes[choice.node].kind, choice.variant) {
            (Kind::Enum(variants), Some(variant)) => variants.known[variant].deferred = deferred,
            _ => self.nodes[choice.node].deferred = deferred,
        }
        self.again()
    }

    /// Whether to go into an option, a sequence or a map, where the type leaves it open.
    pub(super) fn explore(&mut self, node: usize, item: usize) -> bool {
        let free = !self.run.finishing && !matches!(self.nodes[item].kind, Kind::Back(_));
        let explore = free && !self.is_deferred(self.nodes[node].deferred);
        if explore {
            self.choose(Choice { node, variant: None });
        }
        explore
    }

    pub(super) fn choose(&mut self, choice: Choice) {
        if let Some(open) = self.run.open.last_mut() {
            open.choice = Some(choice);
        }
    }

    pub(super) fn is_finishing(&self) -> bool {
        self.run.finishing
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.run.halt.is_some()
    }

    /// Whether the choice noted as made in this generation led nowhere and would again.
    pub(super) fn is_deferred(&self, deferred: Option<u64>) -> bool {
        deferred == Some(self.generation)
    }

    /// A variant came to an end: where only a value is wanted, it will do from now on.
    pub(super) fn variant_ended(&mut self, node: usize, index: usize) {
        let Kind::Enum(variants) = &mut self.nodes[node].kind else {
            return;
        };
        let part = variants.known[index].node;
        if variants.exit.is_none() {
            variants.exit = Some(index);
            self.generation += 1;
            self.learnt += 1;
        }
        self.settle(part);
    }

    /// Gives the run up, having learnt something.
    pub(super) fn again(&mut self) -> Fault {
        self.learnt += 1;
        self.run.halt = Some(Halt::Again);
        Fault::halted()
    }

    pub(super) fn fatal(&mut self, error: impl FnOnce(String) -> SchemaError) -> Fault {
        if self.run.halt.is_none() {
            self.run.halt = Some(Halt::Fatal(error(self.place())));
        }
        Fault::halted()
    }

    pub(super) fn value_dependent(&mut self) -> Fault {
        self.fatal(|place| SchemaError::ValueDependent { place })
    }

    fn too_large(&mut self, limit: &'static str) -> Fault {
        self.fatal(|place| SchemaError::TooLarge { place, limit })
    }

    pub(super) fn visit(&mut self) -> Result<(), Fault> {
        if self.run.halt.is_some() {
            return Err(Fault::halted());
        }
        self.visits += 1;
        if self.visits > VISIT_LIMIT {
            return Err(self.too_large("it takes too long to look at"));
        }
        Ok(())
    }

    pub(super) fn step(&mut self) -> Result<(), Fault> {
        self.steps += 1;
        if self.steps > STEP_LIMIT {
            return Err(self.too_large("it takes too long to look at"));
        }
        Ok(())
    }

    /// Follows references back; they only lead to nodes that were opened earlier.
    pub(super) fn resolve(&self, mut node: usize) -> usize {
        while let Kind::Back(target) = self.nodes[node].kind {
            node = target;
        }
        node
    }

    fn place(&self) -> String {
        let mut path = String::new();
        for segment in &self.run.path {
            match segment {
                Segment::Name(name) => push_part(&mut path, name),
                Segment::Index(index) => push_part(&mut path, &index.to_string()),
                Segment::Mark(mark) => path.push_str(mark),
            }
        }
        let type_name = clip(self.type_name, 200);
        match path.as_str() {
            "" => format!("`{type_name}`"),
            path => format!("field `{}` of `{type_name}`", clip(path, 200)),
        }
    }
}

impl Rule {
    /// By how much the next leaf's plan is raised: all alike, one apart, rising, falling.
    fn next(&mut self) -> usize {
        let index = self.next;
        self.next += 1;
        match self.plan {
            1 | 2 => self.plan,
            3 => usize::from(index + 1 == self.total),
            4 => usize::from(index == 0),
            5 => 2 * index,
            _ => 2 * self.total.saturating_sub(index + 1),
        }
    }
}

/// What all runs together may enter; far above what real messages take (a few hundred).
const STEP_LIMIT: u32 = 100_000;
/// What all runs together may answer, items of large arrays included: at most about a second, unoptimized.
const VISIT_LIMIT: u32 = 1 << 23;
/// Types inside types, those included that add nothing to the shape.
const NEST_LIMIT: usize = 100;
