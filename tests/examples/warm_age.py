import gc_warm
from gc_warm import warm

now = 0.0  # a clock for this example; leave timer= out to use the real one


@warm(max_age=3600, timer=lambda: now)
def prices() -> str:
    return f"prices of {now:g} s"


@warm(idle_timeout=600, timer=lambda: now)
def session() -> str:
    return f"session of {now:g} s"


@warm(max_uses=2)
def leaky() -> object:
    print("a new one")
    return object()


print(prices(), "|", session())
now = 500
print(prices(), "|", session())
now = 1000
print(prices(), "|", session())  # 500 s without use
now = 4000
print(prices(), "|", session())  # too old; and 3000 s without use

for _ in range(4):
    leaky()

now = 9000
print("swept:", gc_warm.sweep(), "| alive:", prices.info().currsize + session.info().currsize)
