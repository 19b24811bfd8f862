internal import Glibc

/// How long the processor worked for the calling thread while `body` ran: what it takes, whatever else the machine does meanwhile. Nothing in it may wait.
public func processorTime<Failure: Error>(of body: () throws(Failure) -> Void) throws(Failure) -> Duration {
    let start = threadTime()
    try body()
    return threadTime() - start
}

private func threadTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
