//! `cml client`: what is refused before a server is asked, and servers that are not there.

use crate::world::World;
use std::net::TcpListener;

#[test]
fn what_is_wrong_here_is_found_here() {
    let world = World::new();
    world.refused("client models", &["--server URL is missing"]);
    world.refused(
        "client models --server fhe.example.org",
        &["needs http:// or https://"],
    );
    world.refused(
        "client predict nothing.csv --server http://127.0.0.1:1 --keys k",
        &["nothing.csv"],
    );
    world.refused(
        "client predict points.csv --samples 0 --server http://127.0.0.1:1 --keys k",
        &["--samples is 0"],
    );
    let both = world.cml("client --server http://127.0.0.1:1");
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn a_server_that_is_not_there_is_no_fault_of_the_input() {
    let world = World::new();
    // Taken and given back: nobody listens there now.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let output = world.cml(&format!(
        "client predict points.csv --server http://127.0.0.1:{port} --keys keys"
    ));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains(&format!("GET http://127.0.0.1:{port}/v1/models")),
        "{error}"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(world.path("keys"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[cfg(unix)]
#[test]
fn a_folder_of_keys_that_others_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let folder = world.path("keys");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = world.cml("client predict points.csv --server http://127.0.0.1:1 --keys keys");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("mode 777 lets others write here"), "{error}");
}
