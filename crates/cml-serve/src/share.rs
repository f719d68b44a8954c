//! Connections of one address: no more than its share, so that others find a place.

use crate::caller::Caller;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections of each address.
pub(crate) struct Shares {
    most: usize,
    taken: Mutex<BTreeMap<Caller, usize>>,
}

/// A connection's place within the share of its address.
pub(crate) struct Share {
    shares: Arc<Shares>,
    address: Caller,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

impl Shares {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: Mutex::default(),
        })
    }

    /// A place for a connection, if its address has one left. Who is on this machine has: what stands in front
    /// of the service often is.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Share> {
        let is_near = address.to_canonical().is_loopback();
        let address = Caller::at(address);
        let mut taken = self.taken();
        let count = taken.entry(address).or_default();
        if *count >= self.most && !is_near {
            return None;
        }
        *count += 1;
        Some(Share {
            shares: Arc::clone(self),
            address,
        })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<Caller, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_gives_it_back() {
        let shares = Shares::new(2);
        let take = |text: &str| shares.take(text.parse().unwrap());
        let (one, two) = (take("192.0.2.1"), take("::ffff:192.0.2.1"));
        assert!(one.is_some() && two.is_some());
        assert!(take("192.0.2.1").is_none() && take("192.0.2.2").is_some());
        drop(one);
        assert!(take("192.0.2.1").is_some());
        // A network of IPv6 is one address.
        let held = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(held.iter().all(Option::is_some) && take("2001:db8::3").is_none());
        for near in ["127.0.0.1", "::1", "::ffff:127.0.0.2"] {
            let held: Vec<_> = (0..5).map(|_| take(near)).collect();
            assert!(held.iter().all(Option::is_some), "{near}");
        }
        drop((two, held));
        assert!(shares.taken().is_empty());
    }
}
