//! The names of a simulated disk: directories as programs see them, as they are durable, and the changes in between.

use super::content::Content;
use super::rng::Rng;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path};

/// Identifies a file or directory, independent of its name.
pub(super) type NodeId = u64;

pub(super) const ROOT: NodeId = 0;

#[derive(Default, Clone)]
struct Dir {
    now: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
}

enum Node {
    Dir(Dir),
    File(Content),
}

/// One atomic change of names: `(directory, name, what it names now)`. A rename has two lines.
struct NameChange(Vec<(NodeId, String, Option<NodeId>)>);

impl NameChange {
    fn touches(&self, dirs: &[NodeId]) -> bool {
        self.0.iter().any(|(dir, _, _)| dirs.contains(dir))
    }
}

pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    next: NodeId,
    unsynced: Vec<NameChange>,
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{}: no such file or directory", path.display()))
}

fn name_of(path: &Path) -> io::Result<String> {
    let name = path.file_name().and_then(OsStr::to_str);
    name.map(str::to_owned).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "path without a UTF-8 name"))
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { nodes: BTreeMap::from([(ROOT, Node::Dir(Dir::default()))]), next: 1, unsynced: Vec::new() }
    }

    fn dir(&self, id: NodeId) -> Option<&Dir> {
        match self.nodes.get(&id) {
            Some(Node::Dir(dir)) => Some(dir),
            _ => None,
        }
    }

    fn dir_mut(&mut self, id: NodeId) -> Option<&mut Dir> {
        match self.nodes.get_mut(&id) {
            Some(Node::Dir(dir)) => Some(dir),
            _ => None,
        }
    }

    pub(super) fn lookup(&self, path: &Path) -> Option<NodeId> {
        let mut at = ROOT;
        for component in path.components() {
            if let Component::Normal(name) = component {
                at = *self.dir(at)?.now.get(name.to_str()?)?;
            }
        }
        Some(at)
    }

    fn parent(&self, path: &Path) -> io::Result<NodeId> {
        let parent = path.parent().ok_or_else(|| not_found(path))?;
        self.lookup(parent).filter(|id| self.dir(*id).is_some()).ok_or_else(|| not_found(parent))
    }

    pub(super) fn file_id(&self, path: &Path) -> io::Result<NodeId> {
        match self.lookup(path).map(|id| (id, &self.nodes[&id])) {
            Some((id, Node::File(_))) => Ok(id),
            Some((_, Node::Dir(_))) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(not_found(path)),
        }
    }

    /// # Panics
    /// If `id` is not a file; ids of files are never reused and files never go while a handle may exist.
    pub(super) fn file(&self, id: NodeId) -> &Content {
        match &self.nodes[&id] {
            Node::File(content) => content,
            Node::Dir(_) => panic!("node {id} is a directory"),
        }
    }

    /// As [`file`](Self::file), for writing.
    pub(super) fn file_mut(&mut self, id: NodeId) -> &mut Content {
        match self.nodes.get_mut(&id) {
            Some(Node::File(content)) => content,
            _ => panic!("node {id} is not a file"),
        }
    }

    /// The id of the file at `path`, and whether it is new.
    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<(NodeId, bool)> {
        if self.lookup(path).is_some() {
            return Ok((self.file_id(path)?, false));
        }
        let dir = self.parent(path)?;
        let name = name_of(path)?;
        let id = self.add(Node::File(Content::default()));
        self.change(NameChange(vec![(dir, name, Some(id))]));
        Ok((id, true))
    }

    fn add(&mut self, node: Node) -> NodeId {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        id
    }

    pub(super) fn create_dirs(&mut self, path: &Path) -> io::Result<()> {
        let mut at = ROOT;
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let name = name.to_str().ok_or(io::ErrorKind::InvalidInput)?;
            let known = self.dir(at).ok_or(io::ErrorKind::NotADirectory)?.now.get(name).copied();
            at = if let Some(id) = known {
                id
            } else {
                let id = self.add(Node::Dir(Dir::default()));
                let dir = self.dir_mut(at).expect("looked up above");
                dir.now.insert(name.to_owned(), id);
                dir.durable.insert(name.to_owned(), id);
                id
            };
        }
        self.dir(at).map(|_| ()).ok_or_else(|| io::ErrorKind::NotADirectory.into())
    }

    /// Moves a name; returns the length of the file it replaced.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<u64> {
        let id = self.lookup(from).ok_or_else(|| not_found(from))?;
        let target = self.lookup(to);
        if target == Some(id) {
            return Ok(0);
        }
        if target.is_some_and(|t| self.dir(t).is_some()) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let replaced = target.map_or(0, |t| self.file(t).bytes().len() as u64);
        let lines = vec![(self.parent(from)?, name_of(from)?, None), (self.parent(to)?, name_of(to)?, Some(id))];
        self.change(NameChange(lines));
        Ok(replaced)
    }

    /// Removes a name; returns the length of the file.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<u64> {
        let id = self.lookup(path).ok_or_else(|| not_found(path))?;
        let bytes = match &self.nodes[&id] {
            Node::Dir(dir) if !dir.now.is_empty() => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
            Node::Dir(_) => 0,
            Node::File(content) => content.bytes().len() as u64,
        };
        self.change(NameChange(vec![(self.parent(path)?, name_of(path)?, None)]));
        Ok(bytes)
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let id = self.lookup(path).ok_or_else(|| not_found(path))?;
        let dir = self.dir(id).ok_or(io::ErrorKind::NotADirectory)?;
        Ok(dir.now.keys().cloned().collect())
    }

    fn change(&mut self, change: NameChange) {
        for (dir, name, id) in &change.0 {
            let dir = self.dir_mut(*dir).expect("parents were looked up by the caller");
            match id {
                Some(id) => dir.now.insert(name.clone(), *id),
                None => dir.now.remove(name),
            };
        }
        self.unsynced.push(change);
    }

    /// Makes the names in a directory durable, and earlier changes that a rename ties to them.
    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let id = self.lookup(path).filter(|id| self.dir(*id).is_some()).ok_or_else(|| not_found(path))?;
        let mut dirs = vec![id];
        let mut apply = Vec::new();
        let mut keep = Vec::new();
        for change in self.unsynced.drain(..).rev() {
            if change.touches(&dirs) {
                dirs.extend(change.0.iter().map(|(dir, _, _)| *dir));
                apply.push(change);
            } else {
                keep.push(change);
            }
        }
        keep.reverse();
        self.unsynced = keep;
        for change in apply.iter().rev() {
            for (dir, name, id) in &change.0 {
                let dir = self.dir_mut(*dir).expect("directories are never dropped");
                match id {
                    Some(id) => dir.durable.insert(name.clone(), *id),
                    None => dir.durable.remove(name),
                };
            }
        }
        Ok(())
    }

    /// The tree after a power cut. Without `rng` everything unsynced is lost.
    pub(super) fn crash(&self, mut rng: Option<&mut Rng>) -> Tree {
        let mut dirs: BTreeMap<NodeId, BTreeMap<String, NodeId>> = BTreeMap::new();
        for (id, node) in &self.nodes {
            if let Node::Dir(dir) = node {
                dirs.insert(*id, dir.durable.clone());
            }
        }
        if let Some(rng) = rng.as_deref_mut() {
            let percent = rng.survival_percent();
            for change in &self.unsynced {
                if rng.chance(percent) {
                    apply_after_crash(&mut dirs, change);
                }
            }
        }
        let mut tree = Tree { nodes: BTreeMap::new(), next: self.next, unsynced: Vec::new() };
        let mut reachable = vec![ROOT];
        while let Some(id) = reachable.pop() {
            let node = match &self.nodes[&id] {
                Node::Dir(_) => {
                    let names = dirs.remove(&id).unwrap_or_default();
                    reachable.extend(names.values());
                    Node::Dir(Dir { now: names.clone(), durable: names })
                }
                Node::File(content) => Node::File(Content::from_durable(match rng.as_deref_mut() {
                    Some(rng) => content.crash_image(rng),
                    None => content.durable().to_vec(),
                })),
            };
            tree.nodes.insert(id, node);
        }
        tree
    }

    /// The bytes of all named files.
    pub(super) fn used_bytes(&self) -> u64 {
        let mut used = 0;
        let mut reachable = vec![ROOT];
        while let Some(id) = reachable.pop() {
            match &self.nodes[&id] {
                Node::Dir(dir) => reachable.extend(dir.now.values()),
                Node::File(content) => used += content.bytes().len() as u64,
            }
        }
        used
    }
}

/// Applies a change that survived though one before it may not have: a node never ends up with two names.
fn apply_after_crash(dirs: &mut BTreeMap<NodeId, BTreeMap<String, NodeId>>, change: &NameChange) {
    for (dir, name, id) in &change.0 {
        if let Some(id) = id {
            for names in dirs.values_mut() {
                names.retain(|_, named| named != id);
            }
        }
        let Some(names) = dirs.get_mut(dir) else { continue };
        match id {
            Some(id) => names.insert(name.clone(), *id),
            None => names.remove(name),
        };
    }
}
