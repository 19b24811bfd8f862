/// What is wanted of the broker and what its session is known to hold; says what to ask for next.
struct SubscriptionLedger {
    enum Request: Equatable {
        case subscribe(filter: String, qos: UInt8)
        case unsubscribe(filter: String)

        var filter: String {
            switch self {
            case .subscribe(let filter, _), .unsubscribe(let filter): filter
            }
        }
    }

    /// By filter as subscribed, in the order of the filters' bytes so that requests are the same every time.
    private(set) var wanted: [(filter: String, qos: UInt8)] = []
    private var wantedQoS: [String: UInt8] = [:]
    /// Acknowledged subscriptions of the session.
    private var held: [String: UInt8] = [:]
    /// Of an earlier run of this client id; the session may still hold them.
    private var leftovers: Set<String> = []
    private var underWay: [Int32: Request] = [:]
    private var filtersUnderWay: Set<String> = []
    /// Why the broker refused a filter on this connection.
    private var refusals: [String: String] = [:]
    private var isChanged = false

    mutating func want(_ subscriptions: [(filter: String, qos: UInt8)], leftovers new: [String]) {
        wantedQoS = Dictionary(subscriptions.map { ($0.filter, $0.qos) }, uniquingKeysWith: max)
        wanted = wantedQoS.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { ($0.key, $0.value) }
        leftovers.formUnion(new)
        refusals = refusals.filter { wantedQoS[$0.key] != nil }
        isChanged = true
    }

    /// A connection was accepted. Without a session the broker holds nothing of ours.
    mutating func connectionBegan(sessionPresent: Bool) {
        underWay = [:]
        filtersUnderWay = []
        refusals = [:]
        isChanged = true
        if !sessionPresent {
            held = [:]
            leftovers = []
        }
    }

    /// What has to be asked for now: everything that differs and is not under way already.
    mutating func nextRequests() -> [Request] {
        guard isChanged else { return [] }
        isChanged = false
        var requests: [Request] = []
        for filter in Set(held.keys).union(leftovers).sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        where wantedQoS[filter] == nil && !filtersUnderWay.contains(filter) {
            requests.append(.unsubscribe(filter: filter))
        }
        for (filter, qos) in wanted where held[filter] != qos && refusals[filter] == nil && !filtersUnderWay.contains(filter) {
            requests.append(.subscribe(filter: filter, qos: qos))
        }
        return requests
    }

    mutating func sent(_ request: Request, packetID: Int32) {
        underWay[packetID] = request
        filtersUnderWay.insert(request.filter)
    }

    /// `refusal` is nil when the broker granted the subscription.
    mutating func subscribeAcknowledged(packetID: Int32, refusal: String?) {
        guard case .subscribe(let filter, let qos)? = underWay.removeValue(forKey: packetID) else { return }
        answered(filter)
        leftovers.remove(filter)
        if let refusal {
            if wantedQoS[filter] != nil { refusals[filter] = refusal }
            held[filter] = nil
        } else {
            held[filter] = qos
        }
    }

    mutating func unsubscribeAcknowledged(packetID: Int32) {
        guard case .unsubscribe(let filter)? = underWay.removeValue(forKey: packetID) else { return }
        answered(filter)
        held[filter] = nil
        leftovers.remove(filter)
    }

    /// A request that could not even be sent.
    mutating func impossible(_ request: Request, reason: String) {
        switch request {
        case .subscribe(let filter, _): refusals[filter] = reason
        case .unsubscribe(let filter):
            held[filter] = nil
            leftovers.remove(filter)
        }
    }

    private mutating func answered(_ filter: String) {
        filtersUnderWay.remove(filter)
        isChanged = true  // what was wanted may have changed meanwhile
    }

    /// Whether every request that was sent has its answer.
    var isSettled: Bool { underWay.isEmpty }

    /// The first refused filter with the broker's reason, and how many more there are.
    var refusal: String? {
        guard let first = refusals.min(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) else { return nil }
        let more = refusals.count > 1 ? " (and \(refusals.count - 1) more)" : ""
        return "the broker refused the subscription '\(first.key)': \(first.value)\(more)"
    }
}
