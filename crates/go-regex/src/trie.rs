//! Long alternations of texts with some open characters: `10.0.0.1:9100|10.0.0.2:9100|...`, dots not escaped.
//!
//! An automaton over bytes takes some 500 bytes for each dot. Here it is one edge of a tree, which branches share as far
//! as they begin alike. A character leads to one child by itself and to some by their classes, so that few nodes are
//! active at a time; the worst is as many as the tree has at a depth.

use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind};
use std::collections::HashMap;

/// Shorter patterns are automata, which are faster.
const PATTERN_BYTES_MIN: usize = 1 << 10;
/// Most nodes for each byte of the pattern.
const NODES_PER_BYTE: usize = 2;
/// Most repetitions that are written out.
const REPEAT_MAX: u32 = 16;

#[derive(Debug, Clone, Default)]
struct Node {
    /// Numbers of classes and the nodes that they lead to.
    classes: Vec<(u32, u32)>,
    accepts: bool,
}

/// Invariant T: each node but the first has one parent, so no node becomes active twice at the same character.
#[derive(Debug, Clone)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    /// Node and character to child.
    children: HashMap<(u32, char), u32>,
    classes: Vec<ClassUnicode>,
}

impl Trie {
    /// `None` if the pattern is short, or is no alternation of such texts, or expands to too many.
    pub(crate) fn of(hir: &Hir, pattern_bytes: usize) -> Option<Self> {
        if pattern_bytes < PATTERN_BYTES_MIN {
            return None;
        }
        let trie = Trie { nodes: vec![Node::default()], children: HashMap::new(), classes: Vec::new() };
        let nodes_max = pattern_bytes.saturating_mul(NODES_PER_BYTE).min(u32::MAX as usize);
        let mut builder = Builder { trie, known: HashMap::new(), nodes_max };
        for end in builder.add(hir, &[0])? {
            builder.trie.nodes[end as usize].accepts = true;
        }
        Some(builder.trie)
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        let (mut active, mut next) = (vec![0_u32], Vec::new());
        for c in text.chars() {
            for &node in &active {
                next.extend(self.children.get(&(node, c)));
                let classes = self.nodes[node as usize].classes.iter();
                next.extend(classes.filter(|(class, _)| has(&self.classes[*class as usize], c)).map(|(_, node)| *node));
            }
            std::mem::swap(&mut active, &mut next);
            next.clear();
            if active.is_empty() {
                return false;
            }
        }
        active.iter().any(|&node| self.nodes[node as usize].accepts)
    }

    /// Bytes on the heap, about.
    pub(crate) fn heap_bytes(&self) -> usize {
        let edges: usize = self.nodes.iter().map(|node| node.classes.capacity() * size_of::<(u32, u32)>()).sum();
        let classes: usize = self.classes.iter().map(|class| size_of_val(class.ranges())).sum();
        edges + classes + self.nodes.capacity() * size_of::<Node>() + self.children.capacity() * 16
    }
}

fn has(class: &ClassUnicode, c: char) -> bool {
    let ranges = class.ranges();
    let at = ranges.partition_point(|range| range.end() < c);
    ranges.get(at).is_some_and(|range| range.start() <= c)
}

struct Builder {
    trie: Trie,
    /// Numbers of classes by their ranges.
    known: HashMap<Vec<(char, char)>, u32>,
    nodes_max: usize,
}

impl Builder {
    fn node(&mut self) -> Option<u32> {
        let number = self.trie.nodes.len();
        if number >= self.nodes_max {
            return None;
        }
        self.trie.nodes.push(Node::default());
        Some(number as u32)
    }

    fn child(&mut self, node: u32, c: char) -> Option<u32> {
        if let Some(&child) = self.trie.children.get(&(node, c)) {
            return Some(child);
        }
        let child = self.node()?;
        self.trie.children.insert((node, c), child);
        Some(child)
    }

    fn class_child(&mut self, node: u32, class: &ClassUnicode) -> Option<u32> {
        let ranges: Vec<(char, char)> = class.iter().map(|range| (range.start(), range.end())).collect();
        let next = self.trie.classes.len() as u32;
        let number = *self.known.entry(ranges).or_insert(next);
        if number == next {
            self.trie.classes.push(class.clone());
        }
        let known = self.trie.nodes[node as usize].classes.iter().find(|(class, _)| *class == number);
        if let Some(&(_, child)) = known {
            return Some(child);
        }
        let child = self.node()?;
        self.trie.nodes[node as usize].classes.push((number, child));
        Some(child)
    }

    /// Adds `hir` behind each of the nodes; tells the nodes behind it, each once. Recursion is bounded by the height that
    /// the parser allows.
    fn add(&mut self, hir: &Hir, starts: &[u32]) -> Option<Vec<u32>> {
        match hir.kind() {
            HirKind::Empty => Some(starts.to_vec()),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).ok()?;
                let end = |start: &u32| text.chars().try_fold(*start, |node, c| self.child(node, c));
                starts.iter().map(end).collect()
            }
            HirKind::Class(Class::Unicode(class)) => {
                starts.iter().map(|&start| self.class_child(start, class)).collect()
            }
            HirKind::Capture(capture) => self.add(&capture.sub, starts),
            HirKind::Concat(parts) => {
                let mut ends = starts.to_vec();
                for part in parts {
                    ends = self.add(part, &ends)?;
                }
                Some(ends)
            }
            HirKind::Alternation(parts) => {
                let mut ends = Vec::new();
                for part in parts {
                    ends.append(&mut self.add(part, starts)?);
                }
                Some(distinct(ends))
            }
            HirKind::Repetition(repeated) => {
                let max = repeated.max.filter(|&max| max <= REPEAT_MAX)?;
                let mut last = starts.to_vec();
                let mut ends = if repeated.min == 0 { last.clone() } else { Vec::new() };
                for count in 1..=max {
                    last = self.add(&repeated.sub, &last)?;
                    if count >= repeated.min {
                        ends.extend_from_slice(&last);
                    }
                }
                Some(distinct(ends))
            }
            HirKind::Class(Class::Bytes(_)) | HirKind::Look(_) => None,
        }
    }
}

fn distinct(mut nodes: Vec<u32>) -> Vec<u32> {
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}
