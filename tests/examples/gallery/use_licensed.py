import socketserver
import threading

from licensed import give_back, solve


class OneSeat(socketserver.BaseRequestHandler):
    """Stands in for a licence server: a seat is taken as long as its connection is open."""

    def handle(self) -> None:
        taken.append(self.client_address)
        self.request.sendall(f"number {len(taken)}".encode())
        self.request.recv(1)  # until the client closes it
        given_back.release()


taken: list[object] = []
given_back = threading.Semaphore(0)
with socketserver.ThreadingTCPServer(("127.0.0.1", 0), OneSeat) as server:
    threading.Thread(target=server.serve_forever).start()
    for size in (10, 1000):
        print(executor.submit(solve, size, *server.server_address).result())
    executor.submit(give_back).result()
    print("given back:", given_back.acquire(timeout=60), "| taken:", len(taken))
    server.shutdown()
