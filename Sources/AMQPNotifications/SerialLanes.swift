internal import Synchronization

/// Keeps those of one id one behind the other, while different ids go on at once.
final class SerialLanes: Sendable {
    private let waiting = Mutex<[String: [Arrival]]>([:])

    /// Whether the lane was free; otherwise whoever is in it takes this one afterwards.
    func enter(_ id: String, _ arrival: Arrival) -> Bool {
        waiting.withLock { lanes in
            guard lanes[id] != nil else {
                lanes[id] = []
                return true
            }
            lanes[id]?.append(arrival)
            return false
        }
    }

    /// The next one of the id, or nil, which leaves the lane.
    func next(_ id: String) -> Arrival? {
        waiting.withLock { lanes in
            guard var lane = lanes[id], !lane.isEmpty else {
                lanes[id] = nil
                return nil
            }
            let arrival = lane.removeFirst()
            lanes[id] = lane
            return arrival
        }
    }
}
