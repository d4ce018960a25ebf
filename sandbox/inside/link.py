"""The referee's end of the connection: what is asked of the program, and what it asks meanwhile."""

from __future__ import annotations

import collections
import contextlib
import functools
import itertools
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from ..wire import codec
from . import emptied, library, outstanding, passed, waited
from .answering import GivenBack
from .connection import Connection
from .conversations import MAIN, Conversations, Turns, need_room
from .given import Arguments, alike, fill, marked
from .held import OPAQUE, OWN, Gone, Kept, about, names_class, number
from .proxy import Proxy, show
from .raised import held_by, known_text
from .replaced import Around
from .values import Values

_LONGEST_TOLD = 500
_AWAITED = frozenset(("await", "anext", "aenter", "aexit"))
_ANSWERS = {"next": StopIteration, "anext": StopAsyncIteration, "getattr": AttributeError, "len": TypeError}
_ENDS = (StopIteration, StopAsyncIteration)  # which what goes over something takes for its end

T = TypeVar("T")


class Link(Values):
    """A connection to the program's process.

    Args:
        objects, methods, answering: see `names.Script`.
        most_threads: of the tests', that have one of their own there.
    """

    def __init__(
        self,
        connection: Connection,
        objects: Mapping[str, list[str]] = MappingProxyType({}),
        methods: frozenset[str] = frozenset(),
        under_test: frozenset[str] = frozenset(),
        most_threads: int = 16,
        answering: Mapping[str, list[str]] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.under_test = under_test
        self.connection, self.objects, self.methods, self.answering = connection, objects, methods, answering
        self.outstanding = outstanding.Outstanding()
        self.blocks = self.outstanding.blocks
        self.around = Around(self._raised)
        self.put: dict[tuple[int, str], Any] = {}
        self.enumerations: dict[int, Any] = {}
        self.members: dict[int, frozenset[int | None]] = {}
        self.emptied = emptied.Emptied(self.outstanding.add, self.outstanding.take, self.instances.has)
        self.given_back = GivenBack(functools.partial(self.operation, "given back"), self.emptied)
        self.own: dict[int, frozenset[str]] = {}
        self.taken: collections.Counter[int] = collections.Counter()
        self.conversations = Conversations(self._receive, self._begin)
        self.called: set[threading.Thread] = set()  # in which functions run that threads of the program have called
        self.apart: list[BaseException] = []  # what decides, of these
        self.awaited = False  # whether the tests have awaited anything of the program's
        self.requests = 0
        self.asked: collections.Counter[int] = collections.Counter()  # the same by thread
        self.asking: collections.Counter[int] = collections.Counter()  # requests under way, by thread
        self.failures: list[BaseException] = []  # what functions of the tests have raised
        self.classes: set[str] = set()  # names of the program that it calls classes
        self.making: set[str] = set()  # of these, the ones under test
        self.waits = waited.Program(
            self.listens, lambda: self.conversations.reads, self.wait, lambda: self.kept.forget()
        )
        self.turns = Turns()
        # Conversations that threads of the tests have begun: for whom they are.
        self.begun: dict[int, tuple[list[threading.Thread], threading.RLock]] = {}
        self.most_threads = most_threads
        self.numbers, self.several = itertools.count(MAIN - 1, -1), False
        self.sending = threading.RLock()
        self._kept = Kept()
        self.last = ""  # the latest call of the program and what came of it, for the reason of a failure

    def heard_of(self, value: Proxy) -> None:
        """The tests name it."""
        if names_class(value):
            self.enumerations.setdefault(about(value).number, value)

    @property
    def kept(self) -> Kept:
        return self.here.kept or self._kept

    def request(
        self,
        message: list[Any],
        read: Callable[..., T],
        given: list[Any] | None = None,
        around: dict[str, Any] | None = None,
    ) -> T:
        """Ask the program; returns what ``read`` makes of the parts of its reply.

        Whatever ``read`` raises is the end of the run: what is wrong with a reply is nothing that a test may catch.

        Args:
            given: the mutable arguments of a call, which it may change though it raises.
            around: what the message takes along; the program may print though it raises.
        """
        if self.here.absorbs:  # a set of objects, for the hash of one: the program is in the midst of an answer
            raise codec.NotData
        need_room()
        thread = threading.get_ident()
        self.asking[thread] += 1
        try:
            if self.here.number is None:
                self.here.number, self.here.turn = self._conversation()
            with self.here.turn:
                return self._request(message, read, given or [], around or {})
        finally:
            self.requests += 1  # what came of it, others may not have seen
            self.asking[thread] -= 1
            if not self.asking[thread]:
                del self.asking[thread]

    def _conversation(self) -> tuple[int, contextlib.AbstractContextManager[Any]]:
        """One of this thread's own, as long as there are not too many. Those of threads that have ended do so, too."""
        with self.sending, _broken():
            for number, (threads, _) in list(self.begun.items()):
                if not any(t.is_alive() for t in threads):
                    del self.begun[number]
                    self.conversations.leave(number)
                    self.connection.send(["nested", number, ["end"]])
            if len(self.begun) < self.most_threads:
                number = next(self.numbers)
                self.conversations.join(number)
                self.begun[number] = [], threading.RLock()
            else:
                number = min(self.begun, key=lambda n: len(self.begun[n][0]))
            threads, turn = self.begun[number]
            threads.append(threading.current_thread())
            return number, turn

    def _request(self, message: list[Any], read: Callable[..., T], given: list[Any], around: dict[str, Any]) -> T:
        self.requests += 1
        self.asked[threading.get_ident()] += 1
        self.outstanding.asked = True
        # Assertions and exits in functions of the tests: they decide, unless the program lets them through, and it is taken here.
        decide: list[BaseException] = []
        alone = len(self.asking) == 1 and sum(self.asking.values()) == 1
        with _broken():
            self._send(message)
            while True:
                reply = self.conversations.hear(self.here.number or MAIN)
                if reply[0] == "callback":
                    *asked, printed = reply[1:]
                    self._bring(functools.partial(self.around.printed, around, printed))
                    if (deciding := self._run_function(*asked)) is not None:
                        decide.append(deciding)
                elif reply[0] == "value":
                    self.outstanding.swallowed(decide + self._apart(alone))
                    return read(*reply[1:])
                elif reply[0] == "raised" and len(reply) == 4:
                    self._change(given, reply[2])
                    error = self._with_given(given, functools.partial(self._raised, reply[1]))
                    bring = self.around.brought(around, reply[3]) if around and reply[3] else None
                    break
                else:
                    raise codec.Malformed("not a reply")
        decide += self._apart(alone)
        self.outstanding.swallowed([other for other in decide if other is not error])
        if any(error is other for other in decide):
            raise error
        self.outstanding.of_program(error, self._is_an_answer(message, error), sys.exception())
        if bring is not None:
            self._bring(bring)
        raise error

    def _by_known_number(self, value: Any) -> Any:
        """A container that the program has by now is the same one there."""
        return marked(value, functools.partial(self.shared.mark, given={})) if self.shared.known else value

    def _apart(self, alone: bool) -> list[BaseException]:
        """What was raised in functions that threads of the program have called, if no other request may let it through."""
        found: list[BaseException] = []
        while alone and self.apart:  # one by one: another thread may add one meanwhile
            found.append(self.apart.pop(0))
        return found

    def _receive(self) -> list[Any]:
        while True:
            message = self.connection.receive()
            if type(message) is not list or not message:
                raise codec.Malformed("not a message")
            if message[0] not in ("nodes", "containers"):
                return message
            self.here.absorbs = True
            try:
                if message[0] == "nodes":
                    self.kept.changed |= self.instances.absorb(message[1], self.decode)
                else:
                    self.shared.take(message[1], self.decode)
            finally:
                self.here.absorbs = False

    def _begin(self, number: int, message: list[Any]) -> None:
        """A thread of the program has a function of the tests called."""
        begins = type(message) is list and message and message[0] == "callback"
        if type(number) is not int or number < MAIN or not begins:
            raise codec.Malformed("an answer that nobody has asked for")
        self.conversations.join(number)
        thread = threading.Thread(target=self._run_apart, args=(number, message), daemon=True)
        self.called.add(thread)
        thread.start()

    def _run_apart(self, number: int, message: list[Any]) -> None:
        self.here.number = number
        try:
            with contextlib.suppress(Gone), _broken():
                *asked, printed = message[1:]
                self.around.printed({"captured": self.around.captured()}, printed)
                if (deciding := self._run_function(*asked)) is not None:
                    self.apart.append(deciding)
        finally:
            self.conversations.leave(number)
            self.called.discard(threading.current_thread())

    def _bring(self, bring: Callable[[], None]) -> None:
        """Do in the tests' process what the program has done there: print, warn.

        What comes of it (a stream of the tests that is closed, a warning that is an error there) would be raised in the
        program, had it run there: it is the program's, unless it is an assertion of the tests.
        """
        handled = sys.exception()
        try:
            bring()
        except (Gone, passed.CannotLeave):
            raise
        except BaseException as error:
            if self.outstanding.holds_assertion(error):
                self.outstanding.add(error)
            else:
                self.outstanding.of_program(error, False, handled)
            raise

    @staticmethod
    def _is_an_answer(message: list[Any], raised: BaseException) -> bool:
        """Whether an exception is how Python says no: the end of an iterator, an attribute or a length that is not there.

        ``list`` asks for a length before it takes the items one by one.
        """
        answer = _ANSWERS.get(message[1]) if message[0] == "operation" else None
        if answer is None or not isinstance(raised, answer) or not (answer in _ENDS or not isinstance(raised, _ENDS)):
            return False
        # One that is an interrupt or the end of a generator, too, may be swallowed where these are.
        kinds = [kind for kind in type(raised).__mro__ if issubclass(kind, BaseException) and kind is not BaseException]
        return all(issubclass(kind, Exception) for kind in kinds)

    def tell(self) -> None:
        """Have the program know what the tests have changed in what both have: its objects may be others by that."""
        with self.sending, _broken():
            self._tell()

    def _tell(self) -> None:
        changed = self.shared.changed(self.encode)
        untold = self.instances.told.untold()
        others = set(filter(self.instances.told.is_another, untold)) - self.kept.changed
        nodes = self.instances.collect(self.encode, untold)
        if self.lent:
            self.connection.send(["classes", self.lent])
            self.lent = []
        if nodes:
            self.connection.send(["nodes", nodes])
        if changed or others:
            self.kept.forget()
        if changed:
            self.connection.send(["containers", changed])

    def _send(self, message: list[Any]) -> None:
        number = self.here.number
        with self.sending:
            if not self.several and threading.active_count() > 1:
                self.several = True
                self.connection.send(["several"])
            self._tell()
            self.connection.send(["nested", number, message] if number else message)

    def _run_function(self, number: int, args: list[Any], kwargs: dict[str, Any]) -> BaseException | None:
        """Call a function of the tests for the program; the assertion or the exit that it ended with, if it did."""
        decoded = [self.decode(a) for a in args]
        named = {str(k): self.decode(v) for k, v in kwargs.items()}
        try:
            kept, self.here.kept = (
                self.here.kept,
                Kept(),
            )  # the program is at work: what its objects say may have changed
            try:
                with self.turns.given_up():
                    value = self.functions[number](*decoded, **named)
            finally:
                self.here.kept = kept
            self.here.anew = number in self.latest
            try:
                answer = ["returned", self.encode(self.shared.handed(value, is_kept=True))]
            finally:
                self.here.anew = True
        except AssertionError as error:  # decides, whatever the program makes of it; its text may hold what is expected
            self.outstanding.add(error)
            self._send(["failed", ["AssertionError"], "", [], self._failure(error)])
            return error
        except Gone:
            raise
        except BaseException as error:
            if self.outstanding.holds_assertion(error):
                self.outstanding.add(error)
                self._send(["failed", library.names_of(type(error)), "", [], self._failure(error)])
                return error
            if not (isinstance(error, (Exception, passed.CannotLeave)) or held_by(error) is not None):
                self.outstanding.add(error)  # an exit, for one: it is not the program's to end the tests
                self._send(["failed", library.names_of(type(error)), "", [], self._failure(error)])
                return error
            told = [a for a in error.args if type(a) in (str, int, float, bool)]
            arguments: Any = told if len(told) == len(error.args) and len(str(told)) < _LONGEST_TOLD else []
            if held_by(error) is not None:
                arguments = self.encode(error)
            answer = ["failed", library.names_of(type(error)), str(error)[:500], arguments, self._failure(error)]
        self._send(answer)
        return None

    def _failure(self, error: BaseException) -> int:
        self.failures.append(error)
        return len(self.failures) - 1

    def operation(self, name: str, *operands: Any, standing: int = OPAQUE, producer: str = "") -> Any:
        self.kept.before(name, number(operands[0]))
        self.awaited = self.awaited or name in _AWAITED
        with self._turn():
            message: list[Any] = ["operation", name, [self.encode(self._by_known_number(o)) for o in operands]]
            given = Arguments(operands).containers  # which an object may keep: b.items = a
            around = self._around()
            if around or given:  # what runs behind an attribute, an operator or a block prints, too
                message.append(around)

            def read(result: Any, *beside: Any) -> tuple[Any, list[Callable[[], None]]]:
                if len(beside) != len(message[3:]):
                    raise codec.Malformed("not a reply")
                bring = []
                for changed, told in beside:
                    self._change(given, changed)
                    bring.append(self.around.brought(around, told))
                return self.decode(result, standing, producer), bring

            value, bring = self.request(message, read, given, around)
            for do in bring:
                self._bring(do)
            return value

    def listens(self) -> bool:
        """Whether the program may say something while the tests do nothing: it has something of theirs, or works in a loop."""
        return bool(self.functions or self.streams.known or self.shared.known or self.around.captured() or self.awaited)

    def wait(self, seconds: float, in_loop: bool) -> bool:
        """Let time pass where the program is; in its event loop, if it has one. False: others ask there, or this thread has not
        asked yet."""
        if self.here.number is None or self.turns.are_wanted():
            return False
        with _broken():
            self.operation("wait in a loop" if in_loop else "wait", seconds)
        return True

    def _around(self) -> dict[str, Any]:
        around = self.around.now(self.encode)
        if streams := self.streams.changed():
            around["streams"] = streams
        elif self.streams.known:
            around["streams"] = []  # those that it has may be written to
        return around

    def of_library(
        self, module: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], standing: int = OPAQUE
    ) -> Any:
        """Call a function of the standard library where the program is."""
        self.kept.before(name, None)
        with self._turn():
            encoded, named = [self.encode(a) for a in args], {k: self.encode(v) for k, v in kwargs.items()}
            around = self.around.now(self.encode)
            message = ["call", {"~": "ref", "v": ["library", module, name]}, encoded, named, around]

            def read(result: Any, _: Any, told: Any) -> tuple[Any, Callable[[], None]]:
                bring = self.around.brought(around, told)
                return self.decode(result, standing, f"{name}()"), bring

            value, bring = self.request(message, read, around=around)
            self._bring(bring)
            return value

    def call(self, target: Proxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        arguments = Arguments((*args, *kwargs.values()))
        with self._turn(arguments):
            return self._call(target, arguments, args, kwargs)

    def _turn(self, arguments: Arguments | None = None) -> contextlib.AbstractContextManager[None]:
        """That of a call with these ``arguments``: a container goes along with one at a time, and so do objects of the task,
        streams and what stands in the place of the library's."""
        things: list[Any] = []
        if arguments is not None:
            things += map(id, arguments.containers)
            things += ["objects"] if any(map(_is_lent, arguments.others)) else []
        if self.streams.known or self.around.now(lambda standing: None):
            things.append("around")
        return self.turns.taken(things)

    def _call(self, target: Proxy, arguments: Arguments, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        handed = arguments.by_number if arguments.shared else self._by_known_number
        encoded = [self.encode(handed(a)) for a in args]
        named = {k: self.encode(handed(v)) for k, v in kwargs.items()}
        shown = [show(a) for a in args] + [f"{k}={show(v)}" for k, v in kwargs.items()]
        label = about(target).label
        self.kept.forget()
        self.last = f"{label}({', '.join(shown)[:300]}) did not return"
        around = self._around()
        if about(target).makes_own:
            around["object"] = []  # though it be of a subclass of list: its own methods are asked
        elif asked := {**self.objects, **self.answering}.get(f"{about(target).producer}()"):
            around["object"] = asked  # the same, if it has one of these
        if arguments.shared:
            around["given"] = arguments.table(self.encode)
        given, standing = arguments.containers, OWN if about(target).makes_own else OPAQUE

        def read(result: Any, changed: Any, told: Any) -> tuple[Any, Callable[[], None]]:
            self._change(given, changed)
            bring = self.around.brought(around, told)
            producer = f"{about(target).producer}()"
            return self._with_given(given, lambda: self.decode(result, standing, producer)), bring

        try:
            message = ["call", self.encode(target), encoded, named, around]
            value, bring = self.request(message, read, given, around)
            self._bring(bring)
        except Gone:
            raise
        except BaseException as error:
            self.last = self.last.replace("did not return", f"raised {type(error).__name__}: {known_text(error)}"[:300])
            raise
        finally:
            self.kept.forget()
        self.last = self.last.replace("did not return", f"returned {show(value)}")
        return value

    def _raised(self, told: list[Any]) -> BaseException:
        return self.raised.as_here(told, self.decode, self.failures)

    def exception(self, kind: type, held: Any) -> BaseException:
        """What the tests have had made by a class of exceptions of the program's."""
        message = ["told", self.encode(held)]
        return self.request(message, lambda told: self.raised.made_by_tests(kind, held, told, self.decode))

    def thrown(self, held: Any) -> BaseException:
        """What the program throws into a generator of the tests."""
        return self.request(["told", self.encode(held)], self._raised)

    def _with_given(self, given: list[Any], decode: Callable[[], Any]) -> Any:
        outer, self.here.given = self.here.given, given
        try:
            return decode()
        finally:
            self.here.given = outer

    def _change(self, given: list[Any], changed: Any) -> None:
        """Give the mutable arguments the content that the program's copies have after the call."""
        if type(changed) is not dict:
            raise codec.Malformed("not the arguments that a call has changed")
        self.streams.put(changed.pop("streams", []))
        kept = changed.pop("kept", [])
        new = {int(n): self._with_given(given, functools.partial(self.decode, v)) for n, v in changed.items()}
        for index, content in new.items():
            if not 0 <= index < len(given):
                raise codec.Malformed("an argument that was not given came back")
            if not alike(given[index], content):
                raise codec.Malformed("an argument came back as another type")
        for index, content in new.items():
            fill(given[index], content)
        for index, shared in kept:
            if type(index) is not int or type(shared) is not int or not 0 <= index < len(given):
                raise codec.Malformed("not an argument that the program keeps")
            self.shared.keep(shared, given[index])


def _is_lent(value: Any) -> bool:
    return type(value).__module__ == "__tests__" or type(value) is types.SimpleNamespace


@contextlib.contextmanager
def _broken() -> Iterator[None]:
    """What is wrong with the connection, or with what came over it, is nothing that a test may catch."""
    try:
        yield
    except Exception as error:
        raise Gone(f"{type(error).__name__}: {error}"[:300]) from None
