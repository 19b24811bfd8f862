import CCurl
import RuleEngine

/// The thread's side: a libcurl multi handle and the transfers on it. Lives on one thread from its making to its end.
final class HTTPLoop {
    private let queue: HTTPQueue
    private let limit: Int
    private let multi: UnsafeMutableRawPointer
    private var waiting: [HTTPQueue.Waiting] = []
    private var transfers: [UInt64: HTTPTransfer] = [:]
    private var ids: [UnsafeMutableRawPointer: UInt64] = [:]

    init(queue: HTTPQueue, limit: Int) {
        self.queue = queue
        self.limit = limit
        guard let multi = curl_multi_init() else { preconditionFailure("libcurl could not be started: out of memory") }
        self.multi = multi
        _ = shim_curl_multi_setopt_long(multi, CURLMOPT_MAXCONNECTS, limit)
    }

    func run() {
        queue.attach(multi)
        while takeOrders() {
            startWaiting()
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            finishEnded()
            if waiting.isEmpty || transfers.count >= limit { curl_multi_poll(multi, nil, 0, 60_000, nil) }
        }
        queue.attach(nil)
        for id in transfers.keys { end(id, .noResponse(reason: "the server is stopping", mayHaveArrived: true)) }
        for one in waiting { answer(one, .noResponse(reason: "the server is stopping", mayHaveArrived: false)) }
        curl_multi_cleanup(multi)
    }

    /// False when the client is gone.
    private func takeOrders() -> Bool {
        let orders = queue.take { id in self.transfers[id] != nil || self.waiting.contains { $0.id == id } }
        waiting += orders.added
        for id in orders.cancelled {
            if let index = waiting.firstIndex(where: { $0.id == id }) {
                answer(waiting.remove(at: index), .noResponse(reason: "cancelled", mayHaveArrived: false))
            } else {
                end(id, .noResponse(reason: "cancelled", mayHaveArrived: true))
            }
        }
        return !orders.isClosed
    }

    private func startWaiting() {
        let starting = waiting.prefix(limit - transfers.count)
        waiting.removeFirst(starting.count)
        for one in starting { start(one) }
    }

    private func start(_ one: HTTPQueue.Waiting) {
        switch HTTPTransfer.make(one) {
        case .failure(let refusal): answer(one, refusal.answer)
        case .success(let transfer):
            let code = curl_multi_add_handle(multi, transfer.easy)
            guard code == CURLM_OK else {
                return answer(one, .noResponse(reason: String(cString: curl_multi_strerror(code)), mayHaveArrived: false))
            }
            transfers[one.id] = transfer
            ids[transfer.easy] = one.id
        }
    }

    private func finishEnded() {
        var left: Int32 = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle, let id = ids[easy],
                let transfer = transfers[id]
            else { continue }
            end(id, transfer.answer(message.pointee.data.result))
        }
    }

    private func end(_ id: UInt64, _ result: HTTPAnswer) {
        guard let transfer = transfers.removeValue(forKey: id) else { return }
        ids[transfer.easy] = nil
        curl_multi_remove_handle(multi, transfer.easy)
        answer(transfer.call, result)
    }

    private func answer(_ one: HTTPQueue.Waiting, _ result: HTTPAnswer) {
        queue.ended(one.id)
        one.continuation.resume(returning: result)
    }
}
