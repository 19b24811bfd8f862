import CCurl
import RuleEngine
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Sends requests with libcurl: one thread, many transfers at once, connections kept open and used again.
///
/// The thread ends when the last reference is gone; transfers under way are then cut off.
public final class HTTPClient: Sendable {
    private let queue: HTTPQueue

    /// `limit`: transfers at once; more wait their turn, which is not counted to their time limit.
    public init(limit: Int = 256) {
        queue = HTTPQueue()
        let queue = queue
        let limit = max(1, limit)
        startThread { HTTPLoop(queue: queue, limit: limit).run() }
    }

    deinit { queue.close() }

    /// A cancelled call ends soon; the request may have arrived then.
    public func send(_ request: HTTPRequest) async -> HTTPAnswer {
        let id = queue.newID()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { queue.add(id, request, $0) }
        } onCancel: {
            queue.cancel(id)
        }
    }
}

private func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body))
    let code = pthread_create(
        &thread, nil,
        { box in
            if let box { Unmanaged<Box>.fromOpaque(box).takeRetainedValue().body() }
            return nil
        }, box.toOpaque())
    precondition(code == 0, "no thread could be started (\(code))")
    pthread_detach(thread)
}
