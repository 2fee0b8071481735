"""A discrete-event simulation of a bank: classes, methods, heapq, a little random numbers.

Usage: python examples/event_simulation.py [customers]
"""

import heapq
import sys
from collections import deque


class Random:
    """A small linear congruential generator, so that every Python draws the same numbers."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.state >> 8) % limit


class Event:
    def __init__(self, time, number, action, subject):
        self.time = time
        self.number = number
        self.action = action
        self.subject = subject

    def __lt__(self, other):
        if self.time != other.time:
            return self.time < other.time
        return self.number < other.number


class Customer:
    def __init__(self, number, arrived, patience):
        self.number = number
        self.arrived = arrived
        self.patience = patience
        self.started = -1
        self.left = -1


class Teller:
    def __init__(self, name, speed):
        self.name = name
        self.speed = speed
        self.customer = None
        self.busy_time = 0
        self.served = 0

    def is_free(self):
        return self.customer is None


class Bank:
    def __init__(self, customers, tellers, seed):
        self.random = Random(seed)
        self.events = []
        self.event_number = 0
        self.now = 0
        self.queue = deque()
        self.tellers = [Teller(f"teller {i}", 2 + i % 3) for i in range(tellers)]
        self.to_come = customers
        self.served = 0
        self.gave_up = 0
        self.waited = 0
        self.longest_wait = 0
        self.checksum = 0

    def schedule(self, delay, action, subject):
        self.event_number += 1
        event = Event(self.now + delay, self.event_number, action, subject)
        heapq.heappush(self.events, event)

    def arrive(self, customer):
        self.queue.append(customer)
        self.schedule(customer.patience, self.give_up, customer)
        self.serve_next()
        self.next_arrival()

    def next_arrival(self):
        if self.to_come:
            self.to_come -= 1
            delay = 1 + self.random.below(9)
            customer = Customer(self.to_come, self.now + delay, 40 + self.random.below(100))
            self.schedule(delay, self.arrive, customer)

    def serve_next(self):
        for teller in self.tellers:
            if not self.queue:
                return
            if teller.is_free():
                customer = self.queue.popleft()
                teller.customer = customer
                customer.started = self.now
                work = (10 + self.random.below(60)) * 2 // teller.speed
                teller.busy_time += work
                self.schedule(work, self.finish, teller)

    def finish(self, teller):
        customer = teller.customer
        teller.customer = None
        teller.served += 1
        customer.left = self.now
        wait = customer.started - customer.arrived
        self.served += 1
        self.waited += wait
        self.longest_wait = max(self.longest_wait, wait)
        self.checksum = (self.checksum * 33 + customer.number * 7 + wait) % 1_000_003
        self.serve_next()

    def give_up(self, customer):
        if customer.started < 0 and customer.left < 0:
            customer.left = self.now
            self.queue.remove(customer)
            self.gave_up += 1

    def run(self):
        self.next_arrival()
        while self.events:
            event = heapq.heappop(self.events)
            self.now = event.time
            event.action(event.subject)


def main():
    customers = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    bank = Bank(customers, tellers=6, seed=20)
    bank.run()
    print(f"served {bank.served}, gave up {bank.gave_up}, clock {bank.now}")
    print(f"mean wait {bank.waited / bank.served:.6f}, longest {bank.longest_wait}")
    for teller in bank.tellers:
        print(f"{teller.name}: served {teller.served}, busy {100 * teller.busy_time / bank.now:.3f} %")
    print(f"checksum {bank.checksum}")


if __name__ == "__main__":
    main()
