//! Buffers that threads take and put back: large ones cost more to make than to use once.

use std::sync::Mutex;

/// Buffers that nobody uses at the moment.
pub(crate) struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// One that was put back, or a new one.
    pub(crate) fn take(&self, new: impl FnOnce() -> T) -> T {
        let known = self.0.lock().unwrap_or_else(|e| e.into_inner()).pop();
        known.unwrap_or_else(new)
    }

    pub(crate) fn put(&self, buffer: T) {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).push(buffer);
    }
}
