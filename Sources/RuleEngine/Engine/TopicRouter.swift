import CEL

/// From a topic to what is wanted of it. Topics are remembered, so that their filters are looked at once.
final class TopicRouter {
    struct Entry {
        var runs: [Run]
    }
    /// Routes that share one decoding of the payload.
    struct Run {
        var decoder: Int32
        var routes: [TopicRoute]
    }
    private struct DecoderKey: Hashable {
        var paths: [FieldPath]
        var decoder: TopicSubscription.Decoder
    }

    private let plan: EvaluationPlan
    private let topics = ByteTable()
    private var entries: [Entry] = []
    private(set) var decoders: [PayloadDecoder] = []
    private var decoderPlaces: [DecoderKey: Int32] = [:]
    private(set) var unwanted: UInt64 = 0
    private var counts: [SourceCounts]
    static let maximumTopics = 2_000_000

    /// Readings of a source, by which of its fields they carried.
    struct SourceCounts {
        var readings: UInt64 = 0
        var lastAt = Instant.distantPast
    }

    init(plan: EvaluationPlan) {
        self.plan = plan
        counts = [SourceCounts](repeating: SourceCounts(), count: plan.sources.count)
    }

    var numbersOutOfRange: UInt64 { decoders.reduce(0) { $0 + UInt64($1.numbersOutOfRange) } }

    func noteUnwanted() { unwanted &+= 1 }

    /// Forgets the topics, whose subjects may be gone.
    func forget() {
        for entry in entries { for run in entry.runs { for route in run.routes { for constant in route.constants { constant.slot.release() } } } }
        topics.removeAll()
        entries.removeAll()
    }

    deinit { forget() }

    static func shard(of key: [UInt8], among count: Int) -> Int {
        count == 1 ? 0 : key.withUnsafeBytes { Int(ByteTable.hash($0) % UInt32(count)) }
    }

    @inline(__always)
    func entry(of topic: UnsafeRawBufferPointer, in engine: Engine) -> Entry {
        if engine.context.hasForgotten {
            forget()
            engine.context.hasForgotten = false
        }
        let known = topics.find(topic)
        if known >= 0 { return entries[Int(known)] }
        return make(topic, engine)
    }

    private func make(_ topic: UnsafeRawBufferPointer, _ engine: Engine) -> Entry {
        if topics.count >= Self.maximumTopics { forget() }
        let name = String(decoding: topic, as: UTF8.self)
        var targets: [EvaluationPlan.TopicTarget] = []
        plan.trie.match(name) { target in
            // Of several filters of one source, the first counts: one message is one reading.
            if let place = targets.firstIndex(where: { $0.source == target.source }) {
                targets[place].subscription = min(targets[place].subscription, target.subscription)
            } else {
                targets.append(target)
            }
        }
        targets.sort { $0.source < $1.source }
        var isComplete = true
        var byDecoder: [(decoder: TopicSubscription.Decoder, routes: [TopicRoute], paths: [FieldPath])] = []
        for target in targets {
            let subscription = plan.sources[Int(target.source)].key.subscriptions[Int(target.subscription)]
            guard let place = subject(of: target, subscription, topic: name, engine) else {
                isComplete = false
                continue
            }
            var run = byDecoder.firstIndex { $0.decoder == subscription.decoder } ?? byDecoder.count
            if run == byDecoder.count { byDecoder.append((subscription.decoder, [], [])) }
            let route = self.route(target, subscription, name, place, paths: &byDecoder[run].paths, engine)
            byDecoder[run].routes.append(route)
            run = 0
        }
        let entry = Entry(runs: byDecoder.map { Run(decoder: decoder($0.paths, $0.decoder), routes: $0.routes) })
        // Where an instance was refused, the topic is looked at anew next time: there may be room then.
        guard isComplete else { return entry }
        let number = topics.insert(topic)
        if Int(number) == entries.count { entries.append(entry) } else { entries[Int(number)] = entry }
        return entry
    }

    private func subject(of target: EvaluationPlan.TopicTarget, _ subscription: TopicSubscription, topic: String, _ engine: Engine) -> (subject: Int32, shard: Int32)? {
        let captures = Dictionary(uniqueKeysWithValues: zip(subscription.filter.captures, subscription.filter.captured(from: topic)))
        let key = plan.sources[Int(target.source)].key.by.map { captures[$0] ?? "" }
        let shard = Self.shard(of: SourceState.keyBytes(key), among: engine.shards.count)
        return engine.shards[shard].subject(of: engine.shards[shard].sources[Int(target.source)], key: key).map { ($0, Int32(shard)) }
    }

    private func route(
        _ target: EvaluationPlan.TopicTarget, _ subscription: TopicSubscription, _ topic: String, _ place: (subject: Int32, shard: Int32),
        paths: inout [FieldPath], _ engine: Engine
    ) -> TopicRoute {
        let source = plan.sources[Int(target.source)]
        let captures = Dictionary(uniqueKeysWithValues: zip(subscription.filter.captures, subscription.filter.captured(from: topic)))
        var route = TopicRoute(
            source: target.source, subject: place.subject, shard: place.shard, subscription: target.subscription, columns: [], constants: [],
            topicFields: TopicRoute.TimeFields(), device: source.hasFixedDevice ? nil : SourceState.device(subscription, captures: captures))
        func text(_ text: String) -> Slot { Slot(retaining: .string(text), strings: plan.strings) }
        func column(_ path: FieldPath) -> Int32 {
            if let known = paths.firstIndex(of: path) { return Int32(known) }
            paths.append(path)
            return Int32(paths.count - 1)
        }
        for (field, path) in source.fields.enumerated() {
            switch path.origin {
            case .payload:
                route.columns.append((column(path), Int32(field)))
                // `value_as`: a bare scalar is the field that the capture names.
                if let name = subscription.valueAs, path.elements == [.name(captures[name] ?? "")] {
                    route.columns.append((column(.member("value")), Int32(field)))
                }
            case .topic: route.constants.append((Int32(field), text(topic)))
            case .eventTime: route.topicFields.eventTime = Int32(field)
            case .receivedAt: route.topicFields.receivedAt = Int32(field)
            case .capture(let name): if let value = captures[name] { route.constants.append((Int32(field), text(value))) }
            }
        }
        return route
    }

    private func decoder(_ paths: [FieldPath], _ kind: TopicSubscription.Decoder) -> Int32 {
        let key = DecoderKey(paths: paths, decoder: kind)
        if let place = decoderPlaces[key] { return place }
        decoders.append(PayloadDecoder(paths: paths, decoder: kind))
        decoderPlaces[key] = Int32(decoders.count - 1)
        return Int32(decoders.count - 1)
    }

    func evaluations(of rule: RulePlan, _ context: EngineContext) -> (UInt64, Instant?) {
        (0, nil)
    }
}
