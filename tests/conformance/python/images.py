"""Images: import, commit, tag, save, load, history, prune."""

import json

from docker import errors
from stories import refused, tar_of, tell, untar


def story_an_image_is_imported_and_told_about(client):
    told = client.api.import_image_from_data(tar_of({"etc/name": b"imported\n"}), repository="made", tag="1", changes=["ENV A=b", 'CMD ["x"]'])
    image = client.images.get("made:1")
    assert json.loads(told.splitlines()[-1])["status"] == image.id
    assert image.tags == ["made:1"] and image.attrs["Config"]["Cmd"] == ["x"] and image.attrs["Config"]["Env"] == ["A=b"]
    assert (image.attrs["Os"], len(image.attrs["RootFS"]["Layers"])) == ("linux", 1)
    client.images.remove("made:1")
    refused(errors.ImageNotFound, "No such image: made:1", lambda: client.images.get("made:1"))


def story_what_a_container_changed_is_committed_and_runs(client):
    container = client.containers.run("busybox", "sh -c 'echo changed >/file; rm /etc/group'", detach=True)
    container.wait()
    image = container.commit(repository="changed", tag="2", message="why", author="who", changes=["LABEL l=m", "CMD cat /file"])
    assert image.attrs["Comment"] == "why" and image.attrs["Author"] == "who" and image.labels == {"l": "m"}
    assert client.containers.run("changed:2", remove=True) == b"changed\n"
    assert client.containers.run("changed:2", "ls /etc", remove=True).split().count(b"group") == 0
    assert len(image.history()) == 2 and image.history()[0]["Comment"] == "why"
    assert client.containers.run("busybox", "cat /etc/group", remove=True), "the image below is untouched"


def story_names_come_and_go_and_the_last_takes_the_image(client):
    image = client.images.get("busybox")
    assert image.tag("registry.example.com:5000/team/app", tag="v1")
    assert sorted(client.images.get("busybox").tags) == ["busybox:latest", "registry.example.com:5000/team/app:v1"]
    assert [i.id for i in client.images.list(name="registry.example.com:5000/team/app")] == [image.id]
    assert client.api.remove_image("registry.example.com:5000/team/app:v1") == [{"Untagged": "registry.example.com:5000/team/app:v1"}]
    client.containers.create("busybox")
    refused(errors.APIError, "unable to remove repository reference", lambda: client.images.remove("busybox"))
    refused(errors.APIError, "invalid reference format", lambda: image.tag("Upper/Case"))


def story_images_are_saved_and_loaded_whole(client):
    image = client.images.get("busybox")
    image.tag("second", "x")
    image.reload()
    saved = list(image.save(named="second:x"))
    names = json.loads(untar(saved)["manifest.json"])[0]["RepoTags"]
    assert names == ["second:x"]
    client.images.remove("second:x")
    loaded = client.images.load(b"".join(saved))
    assert [i.id for i in loaded] == [image.id] and "second:x" in loaded[0].tags
    client.images.remove("second:x")


def story_a_broken_archive_is_told_in_the_stream(client):
    # Docker answers 200 and tells the failure as a line of JSON: SDKs look for it there.
    before = {i.id for i in client.images.list()}
    refused(errors.ImageLoadError, "", lambda: client.images.load(b"no archive"))
    whole = b"".join(client.images.get("busybox").save())
    refused(errors.ImageLoadError, "", lambda: client.images.load(whole[: len(whole) // 2]))
    assert {i.id for i in client.images.list()} == before


def story_pruning_takes_what_has_no_name(client):
    container = client.containers.run("busybox", "touch /x", detach=True)
    container.wait()
    unnamed = container.commit()
    assert unnamed.attrs["Parent"] == client.images.get("busybox").id
    assert unnamed.id in [i.id for i in client.images.list(filters={"dangling": True})]
    container.remove()
    used = client.df()["LayersSize"]
    pruned = client.images.prune(filters={"dangling": True})
    # Layers that others still have are not free: as much as is used less now, and no more.
    freed = used - client.df()["LayersSize"]
    assert {"Deleted": unnamed.id} in pruned["ImagesDeleted"] and pruned["SpaceReclaimed"] == freed > 0
    assert client.images.get("busybox")


def story_a_registry_is_refused_clearly(client):
    refused(errors.APIError, "registries are not supported yet", lambda: client.images.pull("nosuch", tag="1"))


if __name__ == "__main__":
    tell(globals())
