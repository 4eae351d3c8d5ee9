"""Imports into the sandbox: many clients at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from omero.rtypes import unwrap

from .clients import Client, Server


def test_eight_clients_at_once(server: Server, tiff: bytes) -> None:
    clients = [Client(server, user) for user in ("amy", "zak") for _ in range(4)]

    def several(client: Client) -> list[int]:
        responses = [client.run((f"{n}.ome.tif", tiff)) for n in range(5)]
        return [unwrap(response.objects[0].id) for response in responses]

    with ThreadPoolExecutor(8) as pool:
        images = [image for made in pool.map(several, clients) for image in made]
    assert len(set(images)) == 40
    root = Client(server, "root")
    assert len(root.query("select f.id from Fileset f join f.images i")) == 40
