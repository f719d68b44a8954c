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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClientKey, ClientKeys};
    use cml_scheme::{LweKey, Parameters};

    /// Counts up.
    struct Counting(u128);

    impl Seeder for Counting {
        fn seed(&mut self) -> Seed {
            self.0 += 1;
            Seed(self.0)
        }

        fn is_available() -> bool {
            true
        }
    }

    /// Nothing after so many bytes.
    struct Ends(usize);

    impl Randomness for Ends {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), KeyError> {
            let none = || KeyError::Randomness("the source ended".to_owned());
            self.0 = self.0.checked_sub(bytes.len()).ok_or_else(none)?;
            bytes.fill(7);
            Ok(())
        }
    }

    #[test]
    fn both_sources_are_in_every_byte() {
        for system in [0_u8, 0x5a] {
            let mut bytes = [system; 40];
            combine(&mut bytes, &mut Counting(0));
            let mut expected = [system; 40];
            for (part, number) in expected.chunks_mut(16).zip(1_u8..) {
                part[0] ^= number;
            }
            assert_eq!(bytes, expected);
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_processor_takes_part_where_it_can() {
        use tfhe::core_crypto::seeders::RdseedSeeder;
        assert_eq!(System::new().processor.is_some(), RdseedSeeder::is_available());
    }

    #[test]
    fn two_draws_differ() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        System::new().fill(&mut a).expect("randomness");
        System::new().fill(&mut b).expect("randomness");
        assert_ne!(a, b);
        assert_ne!(a, [0; 32]);
    }

    #[test]
    fn nothing_is_made_without_randomness() {
        let parameters = Parameters::new(639, (1, 1024), (23, 1), (4, 3)).expect("valid set");
        let refused = |error: KeyError| assert!(error.to_string().contains("the source ended"), "{error}");
        refused(ClientKey::generate(&parameters, &mut Ends(100)).expect_err("refused"));
        refused(ClientKeys::generate(&parameters.into(), &mut Ends(130)).expect_err("refused"));
        let key = ClientKey::generate(&parameters, &mut Ends(1 << 20)).expect("enough");
        // A seed of masks, and none of noise.
        for (under, left) in [(LweKey::Big, 16), (LweKey::Small, 16), (LweKey::Big, 0)] {
            refused(
                key.encrypt(under, &[(1, 1 << 60)], &mut Ends(left))
                    .expect_err("refused"),
            );
        }
        for left in [0, 16, 32, 48] {
            let made = key.server_key(&mut Ends(left), &mut |_| {});
            refused(made.expect_err("refused"));
        }
    }
}
