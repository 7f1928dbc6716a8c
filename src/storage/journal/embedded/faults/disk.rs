//! What a power cut leaves of the files: the pages that were synced, any of those that were not, and of the names a
//! beginning of the changes since their folder was synced. After a failed sync the pages count as clean, whether they
//! were written or not: that is what Linux does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What the kernel writes at once.
const PAGE: usize = 4096;

/// A small generator of numbers: what is lost comes from a seed.
pub(crate) struct Chance(pub u64);

impl Chance {
    /// A number below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// One file.
struct Image {
    durable: Vec<u8>,
    current: Vec<u8>,
    dirty: BTreeSet<usize>,
}

/// A change of the folder that is not synced yet.
enum Change {
    Add(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

type Names = BTreeMap<PathBuf, usize>;

/// See the module. Knows the files that the journal writes by itself; others (the meta file, which is replaced as a whole)
/// are taken as they are.
pub(crate) struct Disk {
    dir: PathBuf,
    images: Vec<Image>,
    names: Names,
    durable_names: Names,
    changes: Vec<Change>,
    chance: Chance,
}

impl Disk {
    /// The files of a folder, all durable.
    pub(crate) fn watch(dir: &Path, chance: Chance) -> Self {
        let mut disk = Self {
            dir: dir.to_owned(),
            images: Vec::new(),
            names: Names::new(),
            durable_names: Names::new(),
            changes: Vec::new(),
            chance,
        };
        let entries = std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
        for path in entries.filter(|path| path.extension().is_some_and(|end| end == "log")) {
            let bytes = std::fs::read(&path).unwrap();
            disk.images.push(Image { durable: bytes.clone(), current: bytes, dirty: BTreeSet::new() });
            disk.names.insert(path, disk.images.len() - 1);
        }
        disk.durable_names = disk.names.clone();
        disk
    }

    fn image(&mut self, path: &Path) -> &mut Image {
        let at = self.names[path];
        &mut self.images[at]
    }

    /// A new file, or one that is made empty.
    pub(crate) fn create(&mut self, path: &Path) {
        self.images.push(Image { durable: Vec::new(), current: Vec::new(), dirty: BTreeSet::new() });
        let image = self.images.len() - 1;
        self.names.insert(path.to_owned(), image);
        self.changes.push(Change::Add(path.to_owned(), image));
    }

    /// Bytes are written, to the cache.
    pub(crate) fn write(&mut self, path: &Path, bytes: &[u8], at: u64) {
        let (image, at) = (self.image(path), at as usize);
        let end = at + bytes.len();
        image.set_len(image.current.len().max(end));
        image.current[at..end].copy_from_slice(bytes);
        image.dirty.extend(at / PAGE..end.div_ceil(PAGE));
    }

    /// The file has this length, in the cache.
    pub(crate) fn set_len(&mut self, path: &Path, len: u64) {
        self.image(path).set_len(len as usize);
    }

    /// The file has at least this length, in the cache.
    pub(crate) fn allocate(&mut self, path: &Path, len: u64) {
        let image = self.image(path);
        image.set_len(image.current.len().max(len as usize));
    }

    /// All that is dirty of a file becomes durable. What looks clean is not written, whatever the disk has of it.
    pub(crate) fn sync(&mut self, path: &Path) {
        let image = self.image(path);
        image.durable = image.after(image.current.len(), || true);
        image.dirty.clear();
    }

    /// Some of a file is durable, and all of it looks so. Its length is: a file system that loses that stops.
    pub(crate) fn sync_failed(&mut self, path: &Path) {
        let at = self.names[path];
        let image = &mut self.images[at];
        image.durable = image.after(image.current.len(), || self.chance.coin());
        image.dirty.clear();
    }

    /// A file has another name.
    pub(crate) fn rename(&mut self, from: &Path, to: &Path) {
        let Some(image) = self.names.remove(from) else { return };
        self.names.insert(to.to_owned(), image);
        self.changes.push(Change::Rename(from.to_owned(), to.to_owned()));
    }

    /// A file is gone.
    pub(crate) fn remove(&mut self, path: &Path) {
        if self.names.remove(path).is_some() {
            self.changes.push(Change::Remove(path.to_owned()));
        }
    }

    /// All names are durable.
    pub(crate) fn sync_dir(&mut self) {
        self.durable_names.clone_from(&self.names);
        self.changes.clear();
    }

    /// Writes what is left into an empty folder.
    pub(crate) fn power_cut(&mut self, to: &Path) {
        let mut names = self.durable_names.clone();
        let kept = self.chance.below(self.changes.len() + 1);
        for change in &self.changes[..kept] {
            match change {
                Change::Add(path, image) => _ = names.insert(path.clone(), *image),
                Change::Remove(path) => _ = names.remove(path),
                Change::Rename(from, to) => {
                    if let Some(image) = names.remove(from) {
                        names.insert(to.clone(), image);
                    }
                }
            }
        }
        for (path, at) in names {
            let image = &self.images[at];
            let len = if self.chance.coin() { image.durable.len() } else { image.current.len() };
            let bytes = image.after(len, || self.chance.coin());
            std::fs::write(to.join(path.file_name().unwrap()), bytes).unwrap();
        }
        let meta = self.dir.join("journal.meta");
        if meta.exists() {
            std::fs::copy(&meta, to.join("journal.meta")).unwrap();
        }
    }
}

impl Image {
    fn set_len(&mut self, len: usize) {
        if len < self.current.len() {
            // Whatever the file is made longer by later on reads as zeros.
            let old = self.durable.len().max(self.current.len());
            self.dirty.extend(len / PAGE..old.div_ceil(PAGE));
        }
        self.current.resize(len, 0);
    }

    /// The file, `len` bytes long, with those of the dirty pages that are `kept`.
    fn after(&self, len: usize, mut kept: impl FnMut() -> bool) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        bytes.resize(len, 0);
        for page in &self.dirty {
            if kept() {
                let (from, to) = (page * PAGE, ((page + 1) * PAGE).min(len));
                let page = bytes.iter_mut().enumerate().take(to).skip(from);
                page.for_each(|(at, byte)| *byte = self.current.get(at).copied().unwrap_or(0));
            }
        }
        bytes
    }
}
