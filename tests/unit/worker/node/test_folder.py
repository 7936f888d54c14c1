"""`node_folder`: one build per node, complete or not there at all."""

import contextlib
import ctypes
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gc_warm import node_folder, node_stats, self_contained, warm
from gc_warm.errors import DiskFullError, NodeFolderError, NodeTimeoutError, UsageError
from gc_warm.worker.node import place
from gc_warm.worker.node.entry import entries, found_whole, remove
from gc_warm.worker.node.stats import clear

# Logs that it builds, waits for a line if it is told to, and fills its folder.
WEIGHTS = """
    import os, sys
    from pathlib import Path
    from gc_warm import node_folder

    def tell(line):
        print(line, flush=True)

    @node_folder(wait=30)
    def weights(name: str, folder: Path):
        with open(os.environ["LOG"], "a") as log:
            log.write(f"{os.getpid()}\\n")
        (folder / "first").write_text("1")
        if "hold" in sys.argv:
            tell("filling")
            sys.stdin.readline()
        (folder / "second").write_text(name)
"""
USE = (
    WEIGHTS
    + """
    found = weights("a")
    tell((found / "first").read_text() + (found / "second").read_text())
"""
)


@node_folder
def weights(name: str, folder: Path):
    (folder / "weights").write_text(name)


def test_returns_the_folder_that_was_filled():
    assert "small" == (weights("small") / "weights").read_text()
    assert weights("small") == weights(name="small")
    assert weights("small") != weights("large")


def test_arguments_may_be_as_large_as_they_like():
    @node_folder(version="1")
    def table(number: int, folder: Path):
        pass

    assert table(10**5000) == table(10**5000) != table(10**5000 + 1)
    assert all(each["arguments"].startswith("number=<int ") for each in node_stats()["folders"])


def test_many_processes_fill_it_once(programs, log):
    ended = [each.communicate(timeout=60) for each in programs.start_many(6, USE)]
    assert [("1a\n", "")] * 6 == ended
    assert 1 == len(log())


def test_many_threads_fill_it_once(in_threads):
    builds = []

    @node_folder
    def slow(name: str, folder: Path):
        builds.append(name)
        time.sleep(0.1)

    slow = node_folder(version="threads")(slow.initialiser)
    assert 1 == len(set(in_threads(8, lambda _: slow("a"))))
    assert ["a"] == builds


def test_the_next_process_finds_it(programs, log):
    programs.run(USE)
    programs.run(USE)
    assert 1 == len(log())


def test_a_killed_builder_leaves_nothing_that_is_taken_for_complete(programs, log, folders):
    builder = programs.start(USE, "hold")
    assert "filling\n" == builder.stdout.readline()
    waiter = programs.start(USE)
    builder.kill()
    assert ("1a\n", "") == waiter.communicate(timeout=60)
    assert 2 == len(log())
    assert ["1"] == folders()


def test_what_a_killed_builder_left_is_cleared(programs, log):
    builder = programs.start(USE, "hold")
    assert "filling\n" == builder.stdout.readline()
    builder.kill()
    builder.wait()
    assert 1 == len([*(place.path() / "folders").glob("*/building-*")])
    assert 0 == clear()
    assert [] == [*(place.path() / "folders").iterdir()]


def test_what_a_killed_builder_started_keeps_nothing_locked(programs, log):
    text = (
        WEIGHTS
        + """
    import subprocess
    from gc_warm.worker.node.folder import NodeFolder

    @node_folder(version="1")
    def outer(folder: Path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=sys.stdin)
        forked = os.fork()
        if not forked:
            sys.stdin.readline()
            os._exit(0)
        tell(f"{child.pid} {forked}")
        while True:
            pass

    if "hold" in sys.argv:
        outer()
    outer = NodeFolder(lambda folder: None, outer.options)
    outer.name = "__main__.outer"
    outer.__name__ = "outer"
    tell(outer())
    """
    )
    builder = programs.start(text, "hold")
    children = [int(each) for each in builder.stdout.readline().split()]
    try:
        builder.kill()
        assert programs.run(text).strip().endswith("/1/content")
        for child in children:
            os.kill(child, 0)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def test_a_failure_leaves_nothing_and_is_tried_again(folders):
    tries = []

    def fill(folder: Path):
        (folder / "part").write_text("x")
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("no such model")

    failing = node_folder(version="1")(fill)
    with pytest.raises(RuntimeError, match="no such model"):
        failing()
    assert [] == [*(place.path() / "folders").iterdir()]
    assert failing().is_dir()


def test_waiting_ends_with_who_fills_it_and_since_when(programs, log):
    builder = programs.start(USE, "hold")
    builder.stdout.readline()
    ended = programs.start(USE.replace("wait=30", "wait=0.2"))
    error = ended.communicate(timeout=60)[1]
    assert "NodeTimeoutError: __main__.weights waited 0.2 s for its folder" in error
    assert f"being filled by process {builder.pid} on {os.uname().nodename}, since 20" in error
    assert "for __main__.weights(name='a')" in error


class InjectedError(BaseException):
    pass


def test_an_interruption_while_waiting_leaves_nothing_held(programs, log):
    builder = programs.start(USE, "hold")
    builder.stdout.readline()
    waiter = programs.start(USE.replace("found =", "tell('asks'); found ="))
    assert "asks\n" == waiter.stdout.readline()
    waiter.send_signal(signal.SIGINT)
    _, error = waiter.communicate(timeout=30)
    assert error.strip().endswith("KeyboardInterrupt")
    builder.communicate("\n", timeout=30)
    assert 1 == len(log())


def test_an_injected_exception_ends_waiting_and_leaves_nothing_held():
    began, go_on, errors = threading.Event(), threading.Event(), []

    def fill(folder: Path):
        began.set()
        assert go_on.wait(30)

    slow = node_folder(version="1")(fill)
    builder = threading.Thread(target=slow)
    builder.start()
    assert began.wait(30)

    def wait():
        try:
            slow()
        except InjectedError:
            errors.append("injected")

    waiter = threading.Thread(target=wait)
    waiter.start()
    while not injected_into(waiter):
        pass
    waiter.join(30)
    go_on.set()
    builder.join(30)
    assert ["injected"] == errors
    open_files = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
    assert [] == [each for each in open_files if each.endswith("/lock")]


# It may be cut off before it begins or after it ends, in a destructor, or just after an open().
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_call_that_is_cut_off_anywhere_leaves_nothing_and_the_next_one_works():
    @node_folder(version="1", wait=10)
    def data(number: int, folder: Path):
        for file in range(20):
            (folder / str(file)).touch()

    def ask(number):
        with contextlib.suppress(InjectedError):
            data(number)

    choose = random.Random(1)
    for number in range(50):
        caller = threading.Thread(target=ask, args=[number])
        caller.start()
        time.sleep(choose.random() * 0.02)  # at any moment
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(caller.ident), ctypes.py_object(InjectedError)
        )
        caller.join(30)
        assert 20 == len([*data(number).iterdir()])
    assert [] == [*(place.path() / "folders").glob("*/building-*")]


def injected_into(thread):
    frame = sys._current_frames().get(thread.ident)
    while frame is not None:
        if frame.f_code.co_name == "wait_for":
            number = ctypes.c_ulong(thread.ident)
            return ctypes.pythonapi.PyThreadState_SetAsyncExc(
                number, ctypes.py_object(InjectedError)
            )
        frame = frame.f_back
    return False


def test_a_folder_that_needs_itself_is_an_error():
    def fill(folder: Path):
        own()

    own = node_folder(version="1")(fill)
    with pytest.raises(NodeFolderError, match="asked for the folder that it is filling"):
        own()


def test_one_folder_may_need_another():
    @node_folder
    def unpacked(name: str, folder: Path):
        shutil.copytree(weights(name), folder / "copy")

    assert "a" == (unpacked("a") / "copy" / "weights").read_text()


# What somebody does to it


def entry_of(path):
    return path.parent.parent


@pytest.mark.parametrize("damage", ["truncated", "missing", "no content", "no sizes", "bad sizes"])
def test_what_is_no_longer_whole_is_filled_anew(programs, log, damage):
    content = Path(programs.run(USE + "    tell(found)\n").split()[1])
    match damage:
        case "truncated":
            (content / "second").write_text("")
        case "missing":
            (content / "first").unlink()
        case "no content":
            shutil.rmtree(content)
        case "no sizes":
            (content.parent / "sizes.json").unlink()
        case "bad sizes":
            (content.parent / "sizes.json").write_text('{"first"')
    assert "1a\n" == programs.run(USE)
    assert 2 == len(log())


@pytest.mark.parametrize("name", ["use", "about.json"])
@pytest.mark.parametrize("damage", ["missing", "a folder", "a link", "garbage"])
def test_its_own_files_may_be_damaged(programs, log, name, damage):
    content = Path(programs.run(USE + "    tell(found)\n").split()[1])
    path = content.parent / name
    path.unlink()
    match damage:
        case "a folder":
            path.mkdir()
        case "a link":
            path.symlink_to("/etc/passwd")
        case "garbage":
            path.write_bytes(b"\xff{[")
    assert "1a\n" == programs.run(USE)
    node_stats()


@pytest.mark.parametrize("damage", ["garbage", "a folder", "a link"])
def test_a_damaged_lock_is_no_silent_wait(programs, log, damage):
    content = Path(programs.run(USE + "    tell(found)\n").split()[1])
    shutil.rmtree(content.parent)
    lock = entry_of(content) / "lock"
    lock.unlink()
    match damage:
        case "garbage":
            lock.write_bytes(b"\xff{[")
            assert "1a\n" == programs.run(USE)
        case "a folder":
            lock.mkdir()
        case "a link":
            lock.symlink_to("/etc/passwd")
    if damage != "garbage":
        assert (
            f"NodeFolderError: The lock {lock} cannot be opened"
            in programs.start(USE).communicate()[1]
        )


def damage(path, choose):
    """Do something to a file or folder that others might."""
    what = choose.choice(["remove", "garbage", "folder", "link", "mode", "owner", "rename", "time"])
    with contextlib.suppress(OSError):
        if what in {"remove", "folder", "link"}:
            remove(path)
        match what:
            case "garbage":
                texts = ["", "[", "[]", "null", '{"built": "x", "bytes": -1}', '{"../../x": 1}']
                path.write_text(choose.choice(texts))
            case "folder":
                path.mkdir()
            case "link":
                path.symlink_to(choose.choice(["/etc", "/nonexistent", ".", "lock"]))
            case "mode":
                path.chmod(choose.choice([0, 0o500, 0o777]))
            case "owner":
                os.chown(path, 1234, 1234, follow_symlinks=False)
            case "rename":
                path.rename(
                    path.with_name(choose.choice(["1", "2", "99", "gone-x", "lock", "use"]))
                )
            case "time":
                os.utime(path, (choose.choice([0, 4e9]),) * 2)


def test_whatever_is_done_to_it_what_is_returned_is_whole_or_an_error_says_why():
    @node_folder(version="1", wait=2)
    def data(folder: Path):
        (folder / "a").write_text("a" * 30)
        (folder / "below").mkdir()
        (folder / "below" / "b").write_text("b" * 20)
        (folder / "link").symlink_to("a")

    @self_contained
    def use():
        found = data()
        names = ("a", "below/b", "link")
        return "".join((found / name).read_text() for name in names)

    seed = random.randrange(10**9)
    choose = random.Random(seed)
    ends = []
    for _ in range(60):
        there = [*(place.root() / "folders").rglob("*")]
        for _ in range(choose.randint(1, 3) if there else 0):
            damage(choose.choice(there), choose)
        found_whole.clear()  # as a new process would begin
        try:
            ends.append(use())
        except NodeFolderError:
            shutil.rmtree(place.path())
        node_stats()
        clear()
    assert {"a" * 30 + "b" * 20 + "a" * 30} == {*ends}, seed
    assert len(ends) > 30, seed


def test_another_users_content_is_not_used(log, programs):
    content = Path(programs.run(USE + "    tell(found)\n").split()[1])
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(content, 65534, 65534)
    assert "1a\n" == programs.run(USE)
    assert 2 == len(log())


def test_files_that_users_add_change_nothing(programs, log):
    content = Path(programs.run(USE + "    tell(found)\n").split()[1])
    (content / "__pycache__").mkdir()
    programs.run(USE)
    assert 1 == len(log())


def test_what_is_mutable_may_change(programs, log):
    text = USE.replace("wait=30", "mutable=True")
    content = Path(programs.run(text + "    tell(found)\n").split()[1])
    (content / "second").write_text("changed")
    assert "1changed\n" == programs.run(text)
    assert 1 == len(log())


# Time and space


def test_what_is_too_old_is_filled_anew_and_who_uses_it_keeps_it():
    def fill(folder: Path):
        pass

    old = node_folder(version="1")(fill)()
    new = node_folder(version="1", max_age=0)(fill)()
    assert ("1", "2") == (old.parent.name, new.parent.name)
    assert old.is_dir()
    assert new == node_folder(version="1", max_age=1000)(fill)()


def test_a_folder_of_the_future_is_not_trusted_where_age_matters():
    def fill(folder: Path):
        pass

    folder = node_folder(version="1")(fill)()
    about = folder.parent / "about.json"
    about.write_text(about.read_text().replace('"built": 1', '"built": 9'))
    assert folder == node_folder(version="1")(fill)()
    assert folder != node_folder(version="1", max_age=1000)(fill)()


def test_maxbytes_removes_what_nobody_uses_the_least_recently_used_first():
    @node_folder(maxbytes=25)
    def table(name: str, folder: Path):
        (folder / "table").write_bytes(bytes(10))

    @self_contained
    def use(name: str):
        return str(table(name))

    for name in ("a", "b"):
        use(name)
    os.utime(Path(use("a")).parent / "use", (1e9 + 1, 1e9 + 1))
    os.utime(Path(use("b")).parent / "use", (1e9, 1e9))
    use("c")
    assert ["name='a'", "name='c'"] == sorted(f["arguments"] for f in node_stats()["folders"])


def test_what_is_in_use_is_not_evicted():
    @node_folder(maxbytes=15)
    def table(name: str, folder: Path):
        (folder / "table").write_bytes(bytes(10))

    first = table("a")  # outside of a call: as long as this process lives
    second = table("b")
    assert first.is_dir()
    assert second.is_dir()


def test_a_folder_is_in_use_as_long_as_the_state_that_was_built_from_it():
    @node_folder(version="1")
    def table(name: str, folder: Path):
        (folder / "table").write_text(name)

    @warm
    def model(name: str):
        return table(name)

    @self_contained
    def use(name: str):
        return model(name)

    def in_use():
        return [each["arguments"] for each in node_stats()["folders"] if each["in_use"]]

    use("a")
    assert ["name='a'"] == in_use()
    use("b")
    assert ["name='b'"] == in_use()
    model.clear()
    assert [] == in_use()


def test_a_folder_is_in_use_as_long_as_the_call_that_asked():
    @node_folder(version="1")
    def table(folder: Path):
        pass

    @self_contained
    def use():
        table()
        return [each["in_use"] for each in node_stats()["folders"]]

    assert [True] == use()
    assert [False] == [each["in_use"] for each in node_stats()["folders"]]


def test_what_alone_is_larger_than_maxbytes_is_an_error(folders):
    @node_folder(maxbytes=5)
    def table(folder: Path):
        (folder / "table").write_bytes(bytes(10))

    with pytest.raises(NodeFolderError, match=r"has 10 bytes, but .* may have only maxbytes=5"):
        table()
    assert [] == folders()


@pytest.fixture
def small_disk(base):
    """Mount a file system of two megabytes."""
    base.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", base],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield base
    subprocess.run(["umount", "--lazy", base], check=True)


MAY_NOT_MOUNT = pytest.mark.may_skip("mounting needs rights that not every machine gives")


@MAY_NOT_MOUNT
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(small_disk, folders):
    @node_folder
    def large(folder: Path):
        for number in range(10):
            (folder / str(number)).write_bytes(bytes(500_000))

    with pytest.raises(DiskFullError, match=r"is full: .*large had written .* bytes") as caught:
        large()
    assert errno.ENOSPC == caught.value.__cause__.errno
    assert [] == folders()
    assert "1" == weights("small").parent.name


@MAY_NOT_MOUNT
def test_a_disk_without_a_byte_left_is_the_same_error(small_disk):
    with (small_disk / "full").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    with pytest.raises(DiskFullError, match=r"weights had written 0 bytes"):
        weights("small")
    assert [] == [*(place.path() / "folders").iterdir()]


@MAY_NOT_MOUNT
def test_a_full_disk_gets_space_from_what_nobody_uses(small_disk):
    @node_folder
    def large(name: str, folder: Path):
        (folder / "data").write_bytes(bytes(1_200_000))

    @self_contained
    def use(name: str):
        return str(large(name))

    first, second = use("a"), use("b")
    assert not Path(first).exists()
    assert Path(second).exists()


# What a call costs


def test_a_receipt_counts_it_as_a_cold_start_of_the_node():
    @node_folder
    def table(name: str, folder: Path):
        (folder / "table").write_bytes(bytes(10))

    @warm
    def model(name: str):
        return table(name)

    @self_contained
    def use(name: str):
        return str(model(name))

    cold, hit = use.receipted("a").receipt, use.receipted("a").receipt
    assert (1, 1, 10) == (cold.cold_starts, cold.node_cold_starts, cold.node_bytes)
    assert 0 < cold.node_build_seconds <= cold.build_seconds
    assert (1, 0, 0, 0.0) == (hit.hits, hit.node_cold_starts, hit.node_bytes, hit.node_wait_seconds)


def test_a_receipt_says_how_long_it_waited_for_another_process(programs, log):
    builder = programs.start(USE, "hold")
    builder.stdout.readline()
    text = (
        WEIGHTS
        + """
    from gc_warm import self_contained

    @self_contained
    def use():
        return str(weights("a"))

    tell("begins")
    receipt = use.receipted().receipt
    tell(f"{receipt.node_cold_starts} {receipt.node_wait_seconds > 0.3}")
    """
    )
    waiter = programs.start(text)
    assert "begins\n" == waiter.stdout.readline()
    time.sleep(0.5)  # this is the time that is measured
    builder.communicate("\n")
    assert "0 True\n" == waiter.communicate(timeout=30)[0]


# How it is written


def test_folder_may_be_any_parameter():
    @node_folder
    def first(folder: Path, name: str, *rest: str, upper: bool = False):
        (folder / "name").write_text(name.upper() if upper else name + "".join(rest))

    assert "ABC" == (first("abc", upper=True) / "name").read_text()
    assert "abc" == (first("a", "b", "c") / "name").read_text()


def test_looks_like_the_initialiser_without_folder():
    import inspect

    assert Path is inspect.signature(weights).return_annotation
    assert ["name"] == [*inspect.signature(weights).parameters]
    assert "weights" == weights.__name__
    with pytest.raises(TypeError, match=r"weights\(\) got wrong arguments: missing a required"):
        weights()


def yields(folder: Path):
    yield


def test_it_pickles_by_its_name():
    import pickle

    assert weights is pickle.loads(pickle.dumps(weights))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: node_folder(lambda name: None), "needs a parameter called folder"),
        (lambda: node_folder(lambda **folder: None), "needs a parameter called folder"),
        (lambda: node_folder("weights"), "decorates a plain function"),
        (lambda: node_folder(yields), "decorates a plain function"),
        (lambda: node_folder(max_age="1 h"), "max_age must be a number of seconds"),
        (lambda: node_folder(maxbytes=1.5), "maxbytes must be a number of bytes"),
        (lambda: node_folder(wait=None), "wait must be a number of seconds"),
        (lambda: node_folder(wait=True), "wait must be a number of seconds, not True"),
        (lambda: node_folder(max_age=-1), "max_age must be a number of seconds, not -1"),
        (lambda: node_folder(version=1), "version must be a text"),
        (lambda: node_folder(mutable="no"), "mutable must be True or False, not 'no'"),
    ],
)
def test_wrong_use_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_errors_survive_pickling():
    import pickle

    for kind in (NodeFolderError, NodeTimeoutError, DiskFullError):
        assert "why" == str(pickle.loads(pickle.dumps(kind("why"))))


def test_nothing_is_left_of_an_entry_that_was_cleared(base):
    @self_contained
    def use():
        return str(weights("a"))

    use()
    assert 1 == clear()
    assert [] == [*entries()]
    assert [] == [*(place.path() / "folders").iterdir()]


def test_a_child_that_was_forked_meanwhile_waits_in_any_thread_of_its_own(folders):
    began, go_on = threading.Event(), threading.Event()

    @node_folder(version="1", wait=30)
    def slow(folder: Path):
        began.set()
        assert go_on.wait(30)
        (folder / "file").touch()

    def ask_in_threads():
        found = []
        threads = [threading.Thread(target=lambda: found.append(slow())) for _ in range(3)]
        for each in threads:
            each.start()
        os.write(ready, b"1")
        for each in threads:
            each.join(30)
        return len(found) == 3 and all((each / "file").exists() for each in found)

    ask, ready = os.pipe()
    builder = threading.Thread(target=slow)
    builder.start()
    assert began.wait(30)
    child = os.fork()
    if not child:
        os._exit(0 if ask_in_threads() else 1)
    assert b"1" == os.read(ask, 1)
    go_on.set()
    builder.join(30)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ["1"] == folders()


def test_without_a_file_to_open_the_error_says_so(programs):
    text = (
        WEIGHTS
        + """
    import resource
    os.environ["LOG"] = "/dev/null"
    weights("a")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
    weights("b")
    """
    )
    error = programs.start(text).communicate(timeout=30)[1]
    assert "Too many open files" in error


# Initialisers that do what they should not


@pytest.mark.parametrize("other", ["nothing", "link", "file"])
def test_one_that_leaves_something_else_in_its_place_is_an_error(folders, other):
    fills = []

    def fill(folder: Path):
        fills.append(folder)
        folder.rmdir()
        if other == "link":
            folder.symlink_to("/etc")
        elif other == "file":
            folder.touch()

    with pytest.raises(NodeFolderError, match=r"fill must fill the folder that it gets"):
        node_folder(version="1")(fill)()
    assert 1 == len(fills)
    assert [] == folders()
    assert Path("/etc/passwd").exists()


def test_odd_names_links_pipes_and_folders_without_rights(folders):
    @self_contained
    def use():
        def fill(folder: Path):
            (folder / "a\nb\udcff").write_bytes(b"x")
            (folder / "link").symlink_to("/nonexistent")
            os.mkfifo(folder / "pipe")
            (folder / "inner").mkdir()
            (folder / "inner" / "file").touch()
            (folder / "inner").chmod(0)

        return [str(node_folder(version="1")(fill)()) for _ in range(2)]

    assert 1 == len(set(use()))
    assert 1 == clear()
    assert [] == folders()


def test_one_that_forks(folders):
    def fill(folder: Path):
        child = os.fork()
        (folder / str(os.getpid())).touch()
        if child:
            os.waitpid(child, 0)

    me = os.getpid()
    try:
        found = node_folder(version="1", wait=0.5)(fill)()
    finally:
        if os.getpid() != me:
            os._exit(0)
    assert str(me) in {each.name for each in found.iterdir()}
    assert ["1"] == folders()
