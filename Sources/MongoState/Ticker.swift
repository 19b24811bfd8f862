import Dispatch

/// Calls back on a queue at an interval, from its making until it is let go of or stopped. A call that takes longer than the interval is not
/// made up for.
///
/// Unchecked: the timer is set up before anybody else can see it; afterwards only `cancel` is called, which libdispatch allows from any thread.
final class Ticker: @unchecked Sendable {
    private let timer: any DispatchSourceTimer

    init(
        on queue: DispatchQueue, after delay: Duration, every interval: Duration,
        _ tick: @escaping @Sendable () -> Void
    ) {
        timer = DispatchSource.makeTimerSource(queue: queue)
        timer.setEventHandler(handler: tick)
        timer.schedule(deadline: .now() + delay / .seconds(1), repeating: interval / .seconds(1), leeway: .milliseconds(50))
        timer.resume()
    }

    deinit { timer.cancel() }

    func stop() { timer.cancel() }
}
