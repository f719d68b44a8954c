//! The cml command.
