//! Raw bytes as a message, copied as little as possible.

use parking_lot::Mutex;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Immutable bytes that are cheap to clone: the message type for payloads that are bytes already.
///
/// Clones share one buffer, by count. A received payload is a part of the very buffer its samples came
/// in, and one of 16 KiB or more is the buffer the socket was read into. Buffers go back to the link
/// they came from when the last clone is dropped, so steady traffic allocates nothing for them. What
/// is kept for long keeps its buffer, of up to 128 KiB, alive: copy it then.
///
/// ```
/// use bowline::Bytes;
/// let mut image = Bytes::from(vec![0u8; 1000]);
/// image.get_mut().expect("nobody else holds it")[0] = 7;
/// let copy = image.clone();
/// assert_eq!(copy[0], 7);
/// assert!(image.get_mut().is_none());
/// ```
#[derive(Clone)]
pub struct Bytes {
    /// `None` only without any bytes.
    buffer: Option<Arc<Buffer>>,
    start: usize,
    len: usize,
}

impl Bytes {
    /// No bytes.
    pub const fn new() -> Self {
        Self { buffer: None, start: 0, len: 0 }
    }

    /// A copy of `bytes`.
    ///
    /// ```
    /// assert_eq!(&*bowline::Bytes::copy_from_slice(&[1, 2]), &[1, 2]);
    /// ```
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }

    /// The bytes for changing them in place, if no clone of them is alive; `None` otherwise.
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        let Some(buffer) = &mut self.buffer else { return Some(&mut []) };
        Arc::get_mut(buffer)?.data.get_mut(self.start..self.start + self.len)
    }

    /// `len` bytes from `start` on, in the same buffer; fewer where there are no more.
    pub(crate) fn part(&self, start: usize, len: usize) -> Self {
        let start = start.min(self.len);
        Self { buffer: self.buffer.clone(), start: self.start + start, len: len.min(self.len - start) }
    }

    /// What stands behind the first `count` bytes.
    #[cfg(feature = "lz4")]
    pub(crate) fn behind(&self, count: usize) -> Self {
        self.part(count, self.len)
    }

    /// All of a buffer.
    pub(crate) fn whole(buffer: Arc<Buffer>) -> Self {
        let len = buffer.data.len();
        Self { buffer: Some(buffer), start: 0, len }
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Vec<u8>> for Bytes {
    /// Takes the vector over without copying it.
    fn from(data: Vec<u8>) -> Self {
        Self::whole(Arc::new(Buffer { data, home: None }))
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self::copy_from_slice(bytes)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.buffer {
            Some(buffer) => &buffer.data[self.start..][..self.len],
            None => &[],
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 32;
        write!(f, "Bytes({} bytes", self.len())?;
        for (i, byte) in self.iter().take(SHOWN).enumerate() {
            f.write_str(if i == 0 { ": " } else { " " })?;
            write!(f, "{byte:02x}")?;
        }
        f.write_str(if self.len() > SHOWN { " …)" } else { ")" })
    }
}

/// An encoded message as it was received, for [`Message::decode`](crate::Message::decode).
#[derive(Clone, Copy)]
pub struct Payload<'a> {
    slice: &'a [u8],
    owner: Option<(&'a Arc<Buffer>, usize)>,
}

impl<'a> Payload<'a> {
    /// A payload that lies in `slice`.
    ///
    /// ```
    /// assert_eq!(bowline::Payload::new(&[1]).as_slice(), &[1]);
    /// ```
    pub const fn new(slice: &'a [u8]) -> Self {
        Self { slice, owner: None }
    }

    /// The encoded bytes.
    #[inline]
    pub const fn as_slice(&self) -> &'a [u8] {
        self.slice
    }

    /// The encoded bytes to keep; shares the buffer they were received into where there is one.
    #[inline(always)]
    pub fn to_bytes(&self) -> Bytes {
        match self.owner {
            Some((buffer, start)) => Bytes { buffer: Some(Arc::clone(buffer)), start, len: self.slice.len() },
            None => Bytes::copy_from_slice(self.slice),
        }
    }

    /// A part of a buffer; `None` where it does not lie inside.
    #[inline]
    pub(crate) fn part(buffer: &'a Arc<Buffer>, start: u32, end: u32) -> Option<Self> {
        let slice = buffer.data.get(start as usize..end as usize)?;
        Some(Self { slice, owner: Some((buffer, start as usize)) })
    }

    pub(crate) fn of(bytes: &'a Bytes) -> Self {
        Self { slice: bytes, owner: bytes.buffer.as_ref().map(|buffer| (buffer, bytes.start)) }
    }
}

/// Bytes on the heap that go back to a pool when nobody needs them any more.
pub(crate) struct Buffer {
    data: Vec<u8>,
    home: Option<Arc<Pool>>,
}

impl Buffer {
    pub(crate) fn new(data: Vec<u8>, home: &Arc<Pool>) -> Self {
        Self { data, home: Some(Arc::clone(home)) }
    }

    /// An empty buffer with room for `len` bytes and not much more, so that what is kept for long does
    /// not keep much more memory than it needs.
    pub(crate) fn with_room(len: usize, home: &Arc<Pool>) -> Self {
        let mut data = home.take();
        if data.capacity() > SLACK * len.max(SMALL) {
            home.give(data);
            return Self { data: Vec::with_capacity(len), home: None };
        }
        data.clear();
        data.reserve_exact(len);
        Self::new(data, home)
    }

    /// A buffer of zeros that goes nowhere when it is dropped.
    pub(crate) fn zeroed(len: usize) -> Self {
        Self { data: vec![0; len], home: None }
    }

    /// Whether samples of `len` bytes in all may keep this buffer alive while they wait.
    pub(crate) fn suits(&self, len: usize) -> bool {
        self.data.capacity() <= SLACK * len
    }

    /// A buffer of `len` bytes, not much larger.
    pub(crate) fn of_len(len: usize, home: &Arc<Pool>) -> Self {
        let mut data = home.take();
        if data.capacity() > SLACK * len.max(SMALL) {
            home.give(data);
            return Self { data: vec![0; len], home: None };
        }
        if data.capacity() < len {
            // New from the system: what does not come, though it was announced, costs nothing.
            data = vec![0; len];
        } else {
            data.resize(len, 0);
        }
        Self::new(data, home)
    }

    /// A vector for contents of up to `len` bytes that come bit by bit: memory is taken as they do. It may have old contents.
    pub(crate) fn growing(len: usize, home: &Arc<Pool>) -> Vec<u8> {
        let data = home.take();
        if data.capacity() > SLACK * len.max(SMALL) {
            home.give(data);
            return Vec::new();
        }
        data
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.data
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give(std::mem::take(&mut self.data));
        }
    }
}

/// Vectors kept for the next use: at most `count`, and at most `bytes` in all.
pub(crate) struct Pool {
    kept: Mutex<Kept>,
    count: usize,
    bytes: usize,
}

#[derive(Default)]
struct Kept {
    vectors: Vec<Vec<u8>>,
    bytes: usize,
}

impl Pool {
    pub(crate) fn new(count: usize, bytes: usize) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), count, bytes })
    }

    /// A vector, empty or with old contents; it may be a new one.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut kept = self.kept.lock();
        let vector = kept.vectors.pop().unwrap_or_default();
        kept.bytes -= vector.capacity();
        vector
    }

    pub(crate) fn give(&self, vector: Vec<u8>) {
        let mut kept = self.kept.lock();
        let bytes = kept.bytes + vector.capacity();
        if vector.capacity() > 0 && kept.vectors.len() < self.count && bytes <= self.bytes {
            kept.bytes = bytes;
            kept.vectors.push(vector);
            return;
        }
        drop(kept);
        drop(vector);
    }
}

/// How many times larger than its contents a buffer may be that waits in a mailbox.
const SLACK: usize = 4;

/// Up to here contents count as so many bytes: below, a vector costs little in any case.
const SMALL: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_bytes_are_bytes_too() {
        assert_eq!(Bytes::new(), Bytes::from(Vec::new()));
        assert_eq!(Bytes::new().get_mut().map(|bytes| bytes.len()), Some(0));
    }

    #[test]
    fn a_payload_shares_the_buffer_it_lies_in() {
        let pool = Pool::new(4, 1 << 20);
        let buffer = Arc::new(Buffer::new((0..=255).collect(), &pool));
        let payload = Payload::part(&buffer, 10, 110).expect("inside");
        let bytes = payload.to_bytes();
        assert_eq!(bytes[0], 10);
        assert_eq!(bytes.len(), 100);
        assert_eq!(Arc::strong_count(&buffer), 2);
        assert!(Payload::part(&buffer, 250, 257).is_none());
    }

    #[test]
    fn a_buffer_goes_home_and_the_pool_keeps_its_bounds() {
        let pool = Pool::new(2, 100);
        for _ in 0..3 {
            drop(Buffer::new(vec![0; 40], &pool));
        }
        assert_eq!(pool.kept.lock().vectors.len(), 2, "the third finds no place");
        drop(Buffer::new(vec![0; 200], &pool));
        assert!(pool.kept.lock().bytes <= 100);
        assert_eq!(pool.take().capacity(), 40);
    }

    #[test]
    fn a_small_payload_never_keeps_a_large_buffer() {
        let pool = Pool::new(2, 1 << 20);
        let large = || {
            let mut data = vec![1; 100_000];
            data.truncate(16);
            data
        };
        pool.give(large());
        assert_eq!(Buffer::with_room(16, &pool).data.capacity(), 16);
        assert_eq!(pool.kept.lock().bytes, 100_000, "it can be used for the next chunk");
        assert!(Buffer::with_room(50_000, &pool).bytes().is_empty());
        assert_eq!(Buffer::of_len(20_000, &pool).data.capacity(), 20_000);
        assert_eq!(Buffer::of_len(90_000, &pool).data.capacity(), 100_000);
        assert_eq!(pool.kept.lock().bytes, 100_000, "none was lost");
        let buffer = Buffer::zeroed(100);
        assert!(buffer.suits(25) && !buffer.suits(24));
    }
}
