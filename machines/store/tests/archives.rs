//! Archives made by other tools are loaded, and ours are read by them.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

in_both_formats! {
    every_form_of_an_image_is_the_same_image,
    what_is_saved_is_read_by_others_and_by_us,
    a_layer_that_its_tree_cannot_tell_is_saved_byte_for_byte_too,
    a_wrong_archive_is_refused_by_name_and_leaves_nothing,
    any_changed_byte_is_noticed_or_means_nothing,
    of_an_index_the_wanted_platform_is_taken,
    podman_and_we_read_each_other,
}

use std::path::{Path, PathBuf};
use std::process::Command;

use dhow_model::image::Loaded;
use dhow_model::ports::{Images as _, SaveFormat, SaveItem};
use dhow_model::{Kind, Result};
use dhow_oci::Platform;
use dhow_store::LayerFormat;
use support::{Place, archive, docker_archive, names, place, reference, tar};

fn have(tools: &[&str]) -> bool {
    let missing = tools.iter().find(|tool| Command::new(tool).arg("--version").output().is_err());
    if let Some(tool) = missing {
        eprintln!("not run: needs {tool}");
    }
    missing.is_none()
}

fn sh(directory: &Path, line: &str) {
    let output = Command::new("sh").args(["-ec", line]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An OCI layout of two layers by umoci: `layout`, tag `latest`.
fn layout(directory: &Path) -> PathBuf {
    sh(
        directory,
        "umoci init --layout layout
         umoci new --image layout:latest
         mkdir -p tree/etc tree/bin; echo hello >tree/etc/motd; ln -s motd tree/etc/link
         ln tree/etc/motd tree/etc/hard; chmod 4755 tree/bin; head -c 300000 /dev/urandom >tree/bin/large
         umoci insert --image layout:latest tree /
         mkdir more; echo second >more/file
         umoci insert --image layout:latest more /more
         umoci insert --image layout:latest --whiteout /etc/link",
    );
    directory.join("layout")
}

fn load(place: &Place, archive: &[u8]) -> Result<Vec<Loaded>> {
    place.store.images.load(&mut &archive[..], None, &mut |_| {})
}

fn load_file(place: &Place, path: &Path) -> Vec<Loaded> {
    load(place, &std::fs::read(path).unwrap()).unwrap()
}

fn save(place: &Place, items: &[SaveItem]) -> Vec<u8> {
    let mut out = Vec::new();
    place.store.images.save(items, SaveFormat::Both, &mut out).unwrap();
    out
}

fn every_form_of_an_image_is_the_same_image(format: LayerFormat) {
    if !have(&["umoci", "skopeo"]) {
        return;
    }
    let made = tempfile::tempdir().unwrap();
    layout(made.path());
    sh(
        made.path(),
        "tar -C layout -cf plain.tar .
         gzip -k plain.tar; zstd -q plain.tar; xz -k plain.tar; bzip2 -k plain.tar
         skopeo copy -q oci:layout:latest docker-archive:docker.tar:app:1.0
         skopeo copy -q oci:layout:latest oci-archive:oci.tar:app:1.0
         skopeo copy -q --dest-compress-format zstd docker-archive:docker.tar oci-archive:zstd.tar:app:1.0",
    );
    let (mut ids, mut layers) = (Vec::new(), Vec::new());
    for name in [
        "plain.tar",
        "plain.tar.gz",
        "plain.tar.zst",
        "plain.tar.xz",
        "plain.tar.bz2",
        "docker.tar",
        "oci.tar",
        "zstd.tar",
    ] {
        let place = place(format);
        let loaded = load_file(&place, &made.path().join(name));
        assert_eq!(loaded.len(), 1, "{name}");
        let image = place.store.images.by_id(&loaded[0].id).unwrap().unwrap();
        let named = !name.starts_with("plain");
        assert_eq!(
            image.references.iter().map(|r| r.familiar()).collect::<Vec<_>>(),
            if named { vec!["app:1.0"] } else { vec![] },
            "{name}"
        );
        assert_eq!(image.config.rootfs.diff_ids.len(), 3, "{name}");
        let container = place.container(1, Some(&loaded[0].id));
        place.run(&container, "grep -q hello etc/hard; test ! -L etc/link; grep -q second more/file; test $(stat -c %a bin) = 4755");
        let place = place.reopen();
        assert!(names(&place.root().join("staging")).is_empty());
        // skopeo writes another configuration for Docker; the layers stay what they are.
        ids.push((!matches!(name, "docker.tar" | "zstd.tar")).then_some(loaded[0].id));
        layers.push(image.config.rootfs.diff_ids.clone());
    }
    assert!(layers.iter().all(|diff_ids| *diff_ids == layers[0]), "{layers:?}");
    assert!(ids.iter().flatten().all(|id| Some(*id) == ids[0]), "{ids:?}");
}

fn what_is_saved_is_read_by_others_and_by_us(format: LayerFormat) {
    if !have(&["umoci", "skopeo"]) {
        return;
    }
    let made = tempfile::tempdir().unwrap();
    layout(made.path());
    sh(made.path(), "skopeo copy -q oci:layout:latest oci-archive:oci.tar:app:1.0");
    let first = place(format);
    let loaded = load_file(&first, &made.path().join("oci.tar"));
    let second = first.import("other:2", &tar(&[("file", "contents")]));
    let items = [
        SaveItem {
            id: loaded[0].id,
            references: vec![reference("app:1.0"), reference("registry.example/x/app:b")],
        },
        SaveItem { id: second, references: vec![reference("other:2")] },
    ];
    let saved = save(&first, &items);
    assert!(saved == save(&first, &items), "the same images give the same bytes");

    std::fs::write(made.path().join("saved.tar"), &saved).unwrap();
    for name in ["app:1.0", "registry.example/x/app:b", "other:2"] {
        sh(made.path(), &format!("skopeo copy -q docker-archive:saved.tar:{name} dir:out && rm -r out"));
    }
    let unnamed = save(&first, &[SaveItem { id: second, references: vec![] }]);
    std::fs::write(made.path().join("unnamed.tar"), &unnamed).unwrap();
    sh(
        made.path(),
        "skopeo copy -q oci-archive:unnamed.tar dir:out && skopeo copy -q docker-archive:unnamed.tar dir:out2",
    );

    let other = place(format);
    let again = load(&other, &saved).unwrap();
    assert_eq!(again.iter().map(|l| l.id).collect::<Vec<_>>(), [loaded[0].id, second]);
    assert!(saved == save(&other, &items), "what was loaded is saved as it came");
}

fn a_layer_that_its_tree_cannot_tell_is_saved_byte_for_byte_too(format: LayerFormat) {
    // The same file twice: the tree has the second one only.
    let twice = tar(&[("file", "first"), ("other", "x"), ("file", "later")]);
    let place = place(format);
    let archive = docker_archive(&twice, None);
    let loaded = load(&place, &archive).unwrap();
    let layer = place.store.images.by_id(&loaded[0].id).unwrap().unwrap().config.rootfs.diff_ids[0];
    assert_eq!(layer, dhow_oci::Digest::of(&twice));
    let saved = save(&place, &[SaveItem { id: loaded[0].id, references: vec![reference("app")] }]);
    let second = support::place(format);
    assert_eq!(load(&second, &saved).unwrap(), loaded);
    // What is imported gets a tar of its own instead.
    let id = place.import("imported", &twice);
    save(&place, &[SaveItem { id, references: vec![] }]);
}

fn a_wrong_archive_is_refused_by_name_and_leaves_nothing(format: LayerFormat) {
    let layer = tar(&[("file", "contents")]);
    let good = docker_archive(&layer, None);
    let hostile = tar(&[("../outside", "x")]);
    let manifest = |text: &str| archive(&[("config.json", b"{}"), ("manifest.json", text.as_bytes())]);
    let layers = |count: usize| {
        let ids = vec![format!("\"sha256:{}\"", "ab".repeat(32)); count].join(",");
        let config = format!("{{\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[{ids}]}}}}");
        let members = vec!["\"layer.tar\""; count].join(",");
        let manifest = format!("[{{\"Config\":\"config.json\",\"Layers\":[{members}]}}]");
        archive(&[
            ("layer.tar", b""),
            ("config.json", config.as_bytes()),
            ("manifest.json", manifest.as_bytes()),
        ])
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (layers(5_000), "image has 5000 layers; at most 490"),
        (manifest(&" ".repeat(9 << 20)), "at most 8388608 are allowed"),
        (archive(&[("file", b"x")]), "manifest.json: no such file or directory"),
        (b"this is no tar at all".to_vec(), "invalid archive"),
        (Vec::new(), "manifest.json: no such file"),
        (good[..good.len() / 2].to_vec(), "invalid archive"),
        (
            docker_archive(&layer, Some(&format!("sha256:{}", "ab".repeat(32)))),
            "layer.tar is not the image's layer",
        ),
        (docker_archive(&hostile, None), "outside"),
        (manifest("{}"), "manifest.json"),
        (manifest("[{\"Config\":\"absent.json\",\"Layers\":[]}]"), "absent.json: no such file"),
        (manifest("[{\"Config\":\"../../etc/passwd\",\"Layers\":[]}]"), "passwd: no such file"),
        (manifest("[{\"Config\":\"config.json\",\"Layers\":[]}]"), "configuration config.json"),
        (archive(&[("a", b"1"), ("./a", b"2")]), "two members"),
        (archive(&[("repositories", b"{}")]), "before Docker 1.10"),
        (
            archive(&[
                ("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}"),
                ("index.json", b"{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}"),
            ]),
            "both",
        ),
        (archive(&[("oci-layout", b"{\"imageLayoutVersion\":\"9\"}"), ("index.json", b"{}")]), "version"),
    ];
    let place = place(format);
    for (bytes, word) in &cases {
        let error = load(&place, bytes).unwrap_err();
        assert!(error.report().contains(word), "{word}: {}", error.report());
        let kinds = [Kind::InvalidArgument, Kind::Corrupt];
        assert!(kinds.contains(&error.kind()), "{:?}: {}", error.kind(), error.report());
    }
    assert!(place.store.images.list().unwrap().is_empty());
    for directory in ["staging", "layers", "blobs/sha256"] {
        assert!(names(&place.root().join(directory)).is_empty(), "{directory}");
    }
}

fn any_changed_byte_is_noticed_or_means_nothing(format: LayerFormat) {
    let layer = tar(&[("etc/", ""), ("etc/motd", "hello\n")]);
    let good = docker_archive(&layer, None);
    let expected = load(&place(format), &good).unwrap()[0].id;
    for at in (0..good.len()).step_by(37) {
        let mut altered = good.clone();
        altered[at] ^= 0x20;
        let place = place(format);
        if let Ok(loaded) = load(&place, &altered) {
            // The configuration may be another one: then it is another image, whole as such.
            for image in loaded {
                let found = place.store.images.by_id(&image.id).unwrap().unwrap();
                if image.id == expected {
                    assert_eq!(found.config.rootfs.diff_ids, [dhow_oci::Digest::of(&layer)]);
                }
                save(&place, &[SaveItem { id: image.id, references: vec![] }]);
            }
        } else {
            assert!(place.store.images.list().unwrap().is_empty());
        }
    }
}

fn of_an_index_the_wanted_platform_is_taken(format: LayerFormat) {
    if !have(&["umoci", "skopeo", "jq"]) {
        return;
    }
    let made = tempfile::tempdir().unwrap();
    sh(
        made.path(),
        r#"umoci init --layout l
        for a in amd64 arm64; do umoci new --image l:$a; umoci config --image l:$a --architecture $a; done
        digest() { jq -c "[.manifests[] | select(.annotations[\"org.opencontainers.image.ref.name\"]==\"$1\")][0] | {mediaType,digest,size,platform:{architecture:\"$1\",os:\"linux\"}}" l/index.json; }
        printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s,%s]}' "$(digest arm64)" "$(digest amd64)" >list
        sum=$(sha256sum list | cut -d' ' -f1); cp list l/blobs/sha256/$sum
        printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"app:1"}}]}' $sum $(stat -c %s list) >l/index.json
        tar -C l -cf l.tar ."#,
    );
    let bytes = std::fs::read(made.path().join("l.tar")).unwrap();
    let place = place(format);
    for (platform, expected) in
        [(None, "amd64"), (Some("linux/arm64"), "arm64"), (Some("linux/amd64"), "amd64")]
    {
        let platform = platform.map(|text| Platform::parse(text).unwrap());
        let loaded = place.store.images.load(&mut &bytes[..], platform.as_ref(), &mut |_| {}).unwrap();
        assert_eq!(loaded.len(), 1);
        let image = place.store.images.by_reference(&reference("app:1")).unwrap().unwrap();
        assert_eq!(image.config.architecture, expected);
    }
    let absent = Platform::parse("linux/s390x").unwrap();
    let refused = place.store.images.load(&mut &bytes[..], Some(&absent), &mut |_| {}).unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound);
}

/// podman with a storage of its own.
fn podman(directory: &Path, line: &str) {
    sh(
        directory,
        &format!(
            "podman --root $PWD/root --runroot $PWD/run --storage-driver vfs --cgroup-manager cgroupfs \
             --events-backend none {line}"
        ),
    );
}

fn podman_and_we_read_each_other(format: LayerFormat) {
    if !have(&["podman"]) {
        return;
    }
    let made = tempfile::tempdir().unwrap();
    sh(
        made.path(),
        "mkdir -p tree/etc; echo hello >tree/etc/motd; tar -C tree -cf tree.tar .
         echo more >tree/etc/more; tar -C tree -cf more.tar .",
    );
    podman(made.path(), "import -q tree.tar first:1");
    podman(made.path(), "import -q more.tar second:2");
    for (kind, option) in [("docker-archive", ""), ("oci-archive", ""), ("docker-archive", "-m ")] {
        let images = if option.is_empty() { "first:1" } else { "first:1 second:2" };
        podman(made.path(), &format!("save -q {option}--format {kind} -o saved.tar {images}"));
        let place = place(format);
        let loaded = load_file(&place, &made.path().join("saved.tar"));
        assert_eq!(loaded.len(), images.split(' ').count(), "{kind}");
        let found = place.store.images.by_reference(&reference("localhost/first:1")).unwrap().unwrap();
        let container = place.container(1, Some(&found.id));
        place.run(&container, "grep -q hello etc/motd");
        sh(made.path(), "rm saved.tar");
    }
    let place = place(format);
    let id = place.import("ours:3", &tar(&[("bin/", ""), ("bin/tool", "contents")]));
    let saved = save(&place, &[SaveItem { id, references: vec![reference("ours:3")] }]);
    std::fs::write(made.path().join("ours.tar"), saved).unwrap();
    podman(made.path(), "load -q -i ours.tar");
    podman(made.path(), &format!("image inspect docker.io/library/ours:3 | grep -q {}", id.hex()));
}
