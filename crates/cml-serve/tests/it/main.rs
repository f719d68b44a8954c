//! Real servers, real keys, real sockets.

mod api;
mod crash;
mod full_disk;
mod happy;
mod http;
mod jobs;
mod limits;
mod logs;
mod process;
mod refused;
mod shutdown;
mod slow;
mod tls;
mod world;
