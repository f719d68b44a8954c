//! Clients of servers that lie, and folders of keys. Servers that do not lie are
//! asked by the tests of `cml-cli`, as processes.

mod answers;
mod lies;
mod network;
mod promises;
mod store;
