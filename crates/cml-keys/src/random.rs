//! Where secrets and noise come from.

use cml_scheme::KeyError;
use tfhe::core_crypto::commons::math::random::{Seed, Seeder};
use zeroize::Zeroizing;

/// A source of secret, uniformly random bytes.
pub trait Randomness {
    /// Fills the bytes.
    ///
    /// # Errors
    /// [`KeyError::Randomness`] if there are none.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), KeyError>;
}

/// The generator of the operating system, combined with that of the processor where there is one.
///
/// Bytes of both are added bit by bit, so that whoever knows one of them knows nothing.
#[cfg(feature = "os")]
pub struct System {
    processor: Option<Box<dyn Seeder>>,
}

#[cfg(feature = "os")]
impl System {
    /// Ready to draw.
    pub fn new() -> Self {
        Self {
            processor: processor(),
        }
    }
}

#[cfg(feature = "os")]
impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "os")]
impl Randomness for System {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), KeyError> {
        use rand::TryRngCore;
        let drawn = rand::rngs::OsRng.try_fill_bytes(bytes);
        drawn.map_err(|e| KeyError::Randomness(e.to_string()))?;
        if let Some(processor) = &mut self.processor {
            combine(bytes, processor.as_mut());
        }
        Ok(())
    }
}

/// Adds the seeds of a generator to bytes, bit by bit.
#[cfg(feature = "os")]
fn combine(bytes: &mut [u8], with: &mut dyn Seeder) {
    for part in bytes.chunks_mut(16) {
        let more = Zeroizing::new(with.seed().0.to_le_bytes());
        part.iter_mut()
            .zip(more.iter())
            .for_each(|(byte, more)| *byte ^= more);
    }
}

/// The generator of the processor.
#[cfg(all(feature = "os", target_arch = "x86_64"))]
fn processor() -> Option<Box<dyn Seeder>> {
    use tfhe::core_crypto::seeders::RdseedSeeder;
    RdseedSeeder::is_available().then(|| Box::new(RdseedSeeder::new()) as Box<dyn Seeder>)
}

/// There is none that is known.
#[cfg(all(feature = "os", not(target_arch = "x86_64")))]
fn processor() -> Option<Box<dyn Seeder>> {
    None
}

/// Seeds for the `tfhe` crate, whose generators cannot say that there are none.
pub(crate) struct Seeds<'r> {
    random: &'r mut dyn Randomness,
    failed: Option<KeyError>,
}

impl<'r> Seeds<'r> {
    pub(crate) fn of(random: &'r mut dyn Randomness) -> Self {
        Self { random, failed: None }
    }

    /// A seed; of no use if [`Seeds::finish`] fails.
    pub(crate) fn draw(&mut self) -> u128 {
        let mut bytes = Zeroizing::new([0; 16]);
        if let Err(error) = self.random.fill(bytes.as_mut()) {
            self.failed.get_or_insert(error);
        }
        u128::from_le_bytes(*bytes)
    }

    /// Whether all seeds were random: nothing that was made of them may be used otherwise.
    pub(crate) fn finish(self) -> Result<(), KeyError> {
        self.failed.map_or(Ok(()), Err)
    }
}

impl Seeder for Seeds<'_> {
    fn seed(&mut self) -> Seed {
        Seed(self.draw())
    }

    fn is_available() -> bool {
        true
    }
}
