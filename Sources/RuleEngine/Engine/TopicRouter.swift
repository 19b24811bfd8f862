import CEL

/// What a topic leads to in one shard: the subject of a source. 24 bytes.
struct TopicRoute: BitwiseCopyable {
    /// The subject's ordinal when the route was made: a subject that was forgotten since has another, or none.
    var ordinal: Int64
    var subject: Int32
    /// Place in `TopicRouter.shapes`.
    var shape: Int32
    /// Place in `TopicRouter.circumstances`, or -1.
    var circumstance: Int32
    var shard: Int16
}

/// Where the fields of a source stand in a decoded row: the same for all topics that match the same filter.
struct RouteShape: BitwiseCopyable {
    let source: Int32
    let decoder: Int32
    let isSkippedWhenRetained: Bool
    /// Whether it is taken in for the rules of other sources: `latest` and `members`.
    let isForOthers: Bool
    /// Column of the decoded row → field of the source. The router's memory, as are the fields of times.
    let columns: UnsafeBufferPointer<(column: Int32, field: Int32)>
    /// The column of a payload that is one scalar, where `value_as` renames it, and the field that it becomes (-1: no rule reads it).
    let scalar: (column: Int32, field: Int32)?
    /// Fields that hold when the reading was measured, and when it was received.
    let timeFields: UnsafeBufferPointer<Int32>
    let receiptFields: UnsafeBufferPointer<Int32>
    /// The column of `time_field`; -1: there is none; `decodersTime`: the decoder says it.
    let stamp: Int32
    static let decodersTime: Int32 = -2
    /// A bit for each filter of the source that the topic matches, where sequences ask.
    let matched: UInt64
}

/// What follows from a topic and does not identify the instance.
final class RouteCircumstance {
    /// `topic`, and captures that are not in `by`. The slots are owned.
    let constants: [(field: Int32, slot: Slot)]
    /// The device, for sources whose key does not decide it.
    let device: String?

    init(constants: [(field: Int32, slot: Slot)], device: String?) {
        self.constants = constants
        self.device = device
    }

    deinit { for constant in constants { constant.slot.release() } }
}

/// From a topic to what is wanted of it. Topics are remembered, so that their filters are looked at once.
///
/// Shards, their sources and decoders are reached without counting references: the router holds the shards, which hold their sources, and the
/// decoders, for as long as it lives.
final class TopicRouter {
    /// Routes of a topic in `routes`, those of one decoder together.
    struct Entry: BitwiseCopyable {
        var first: Int32
        var count: Int32
    }
    private struct DecoderKey: Hashable {
        var paths: [FieldPath]
        var decoder: TopicSubscription.Decoder
    }
    private struct ShapeKey: Hashable {
        var source: Int32
        var subscription: Int16
        var decoder: Int32
        /// The field that `value_as` names.
        var scalarField: Int32
        var matched: UInt64
    }
    /// What a topic matches of one source.
    private struct Target {
        var source: Int32
        /// Of several filters, the first counts: one message is one reading.
        var subscription: Int16
        /// A bit for each of them, where sequences ask.
        var matched: UInt64
    }

    private let plan: EvaluationPlan
    private let shards: [EngineShard]
    let shardTable: FlatTable<Unmanaged<EngineShard>>
    private let topics = ByteTable()
    private let entries = FlatTable<Entry>()
    let routes = FlatTable<TopicRoute>()
    let shapes = FlatTable<RouteShape>()
    private(set) var circumstances: [RouteCircumstance] = []
    private var decoders: [PayloadDecoder] = []
    let decoderTable = FlatTable<Unmanaged<PayloadDecoder>>()
    private var decoderPlaces: [DecoderKey: Int32] = [:]
    private var namedDecodings: [String: NamedDecoding] = [:]
    private var shapePlaces: [ShapeKey: Int32] = [:]
    /// Routes that no entry leads to any more.
    private var abandonedRoutes = 0
    static let maximumTopics = 2_000_000

    init(plan: EvaluationPlan, shards: [EngineShard]) {
        self.plan = plan
        self.shards = shards
        shardTable = FlatTable(shards.map(Unmanaged.passUnretained))
    }

    deinit {
        for place in shapes.indices {
            shapes[place].columns.deallocate()
            shapes[place].timeFields.deallocate()
            shapes[place].receiptFields.deallocate()
        }
    }

    var numbersOutOfRange: UInt64 { decoders.reduce(0) { $0 + UInt64($1.numbersOutOfRange) } }

    /// Forgets the topics.
    private func forget() {
        topics.removeAll()
        entries.replaceAll(with: [])
        routes.replaceAll(with: [])
        circumstances.removeAll()
        abandonedRoutes = 0
    }

    static func shard(of key: [UInt8], among count: Int) -> Int {
        key.withUnsafeBytes { shard(ofBytes: $0, among: count) }
    }

    static func shard(ofBytes key: UnsafeRawBufferPointer, among count: Int) -> Int {
        count == 1 ? 0 : Int(ByteTable.hash(key) % UInt32(count))
    }

    /// The routes of a topic; all of them lead to subjects that exist.
    @inline(__always)
    func entry(of topic: UnsafeRawBufferPointer) -> Entry {
        let known = topics.find(topic)
        guard known >= 0 else { return make(topic, replacing: -1) }
        let entry = entries[Int(known)]
        for place in Int(entry.first)..<Int(entry.first + entry.count) where !isValid(routes[place]) {
            return make(topic, replacing: known)
        }
        return entry
    }

    @inline(__always)
    private func isValid(_ route: TopicRoute) -> Bool {
        shardTable[Int(route.shard)]._withUnsafeGuaranteedRef { shard in
            shard.sourceTable[Int(shapes[Int(route.shape)].source)]._withUnsafeGuaranteedRef {
                $0.subjects[Int(route.subject)].ordinal == route.ordinal
            }
        }
    }

    @inline(never)
    private func make(_ topic: UnsafeRawBufferPointer, replacing known: Int32) -> Entry {
        var known = known
        if topics.count >= Self.maximumTopics || abandonedRoutes > 1_000_000 || circumstances.count > Self.maximumTopics * 2 {
            forget()
            known = -1
        }
        let name = String(decoding: topic, as: UTF8.self)
        var isComplete = true
        var made: [TopicRoute] = []
        for target in targets(of: name) {
            if let route = route(target, name) { made.append(route) } else { isComplete = false }
        }
        made.sort { left, right in
            let first = shapes[Int(left.shape)], second = shapes[Int(right.shape)]
            // What others see comes first, since it is known to the evaluations of the same reading.
            return (first.isForOthers ? 0 : 1, first.decoder, first.source) < (second.isForOthers ? 0 : 1, second.decoder, second.source)
        }
        let entry = Entry(first: Int32(routes.count), count: Int32(made.count))
        for route in made { routes.append(route) }
        if known >= 0 {
            abandonedRoutes += Int(entries[Int(known)].count)
            entries[Int(known)] = entry
            return entry
        }
        // Where an instance was refused, the topic is looked at anew next time: there may be room then.
        guard isComplete else {
            abandonedRoutes += made.count
            return entry
        }
        let number = topics.insert(topic)
        if Int(number) == entries.count { entries.append(entry) } else { entries[Int(number)] = entry }
        return entry
    }

    /// What matches a topic, by source.
    private func targets(of topic: String) -> [Target] {
        var found: [Int32: Target] = [:]
        plan.trie.match(topic) { match in
            let matched = plan.indexes[Int(match.source)].hasSequences ? SequencePlan.bit(of: match.subscription) : 0
            var target = found[match.source] ?? Target(source: match.source, subscription: match.subscription, matched: 0)
            target.subscription = min(target.subscription, match.subscription)
            target.matched |= matched
            found[match.source] = target
        }
        return found.values.sorted { $0.source < $1.source }
    }

    private func route(_ target: Target, _ topic: String) -> TopicRoute? {
        let source = plan.sources[Int(target.source)]
        let subscription = source.key.subscriptions[Int(target.subscription)]
        let captures = Dictionary(zip(subscription.filter.captures, subscription.filter.captured(from: topic))) { first, _ in first }
        let key = source.key.by.map { captures[$0] ?? "" }
        let shard = Self.shard(of: source.key.home(of: SourceState.keyBytes(key)), among: shards.count)
        let state = shards[shard].sources[Int(target.source)]
        guard let subject = shards[shard].subject(of: state, key: key) else { return nil }
        return TopicRoute(
            ordinal: state.subjects[Int(subject)].ordinal, subject: subject, shape: shape(target, source, subscription, captures),
            circumstance: circumstance(source, subscription, topic, captures), shard: Int16(shard))
    }

    private func shape(
        _ target: Target, _ source: SourcePlan, _ subscription: TopicSubscription, _ captures: [String: String]
    ) -> Int32 {
        let paths = source.fields.filter { $0.origin == .payload }
        let scalarField =
            subscription.valueAs.flatMap { captures[$0] }.flatMap { source.fields.firstIndex(of: .member($0)) }.map { Int32($0) } ?? -1
        let decoder = decoder(paths, subscription)
        let key = ShapeKey(
            source: target.source, subscription: target.subscription, decoder: decoder, scalarField: scalarField,
            matched: target.matched)
        if let place = shapePlaces[key] { return place }
        var columns: [(column: Int32, field: Int32)] = []
        var timeFields: [Int32] = [], receiptFields: [Int32] = []
        for (field, path) in source.fields.enumerated() {
            switch path.origin {
            case .payload: columns.append((Int32(columns.count), Int32(field)))
            case .eventTime: timeFields.append(Int32(field))
            case .receivedAt: receiptFields.append(Int32(field))
            case .topic, .capture: continue
            }
        }
        let valueColumn = decoders[Int(decoder)].paths.firstIndex(of: .member("value")).map { Int32($0) } ?? -1
        let stamp = subscription.stampPath.flatMap { decoders[Int(decoder)].paths.firstIndex(of: $0) }.map { Int32($0) }
        shapes.append(
            RouteShape(
                source: target.source, decoder: decoder, isSkippedWhenRetained: subscription.retained == .skip,
                isForOthers: source.key.isForOthers, columns: Self.frozen(columns),
                scalar: subscription.valueAs == nil ? nil : (valueColumn, scalarField),
                timeFields: Self.frozen(timeFields), receiptFields: Self.frozen(receiptFields),
                stamp: stamp ?? (subscription.takesDecodersTime ? RouteShape.decodersTime : -1),
                matched: target.matched))
        shapePlaces[key] = Int32(shapes.count - 1)
        return Int32(shapes.count - 1)
    }

    private static func frozen<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafeBufferPointer<Element> {
        let buffer = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count)
        _ = buffer.initialize(from: elements)
        return UnsafeBufferPointer(buffer)
    }

    private func circumstance(_ source: SourcePlan, _ subscription: TopicSubscription, _ topic: String, _ captures: [String: String])
        -> Int32
    {
        var constants: [(field: Int32, slot: Slot)] = []
        func text(_ text: String) -> Slot { Slot(retaining: .string(text), strings: plan.strings) }
        for (field, path) in source.fields.enumerated() {
            switch path.origin {
            case .topic: constants.append((Int32(field), text(topic)))
            case .capture(let name): constants.append((Int32(field), captures[name].map(text) ?? .missing))
            default: continue
            }
        }
        let device = source.hasFixedDevice || !source.usesDevices ? nil : SourceState.device(subscription.device, captures: captures)
        guard device != nil || !constants.isEmpty else { return -1 }
        circumstances.append(RouteCircumstance(constants: constants, device: device))
        return Int32(circumstances.count - 1)
    }

    private func decoder(_ paths: [FieldPath], _ subscription: TopicSubscription) -> Int32 {
        // A scalar that is renamed is read as `value`, behind the fields of the source, and so is the stamp.
        var wanted = subscription.valueAs == nil || paths.contains(.member("value")) ? paths : paths + [.member("value")]
        if let stamp = subscription.stampPath, !wanted.contains(stamp) { wanted.append(stamp) }
        let key = DecoderKey(paths: wanted, decoder: subscription.decoder)
        if let place = decoderPlaces[key] { return place }
        let made = PayloadDecoder(paths: wanted, decoder: subscription.decoder, named: named(subscription.decoder))
        decoders.append(made)
        decoderTable.append(Unmanaged.passUnretained(made))
        decoderPlaces[key] = Int32(decoders.count - 1)
        return Int32(decoders.count - 1)
    }

    /// All sources share a plugin's decoder, which runs once a message.
    private func named(_ decoder: TopicSubscription.Decoder) -> NamedDecoding? {
        guard case .named(let name) = decoder, let decoder = plan.decoders[name] else { return nil }
        if let known = namedDecodings[name] { return known }
        let decoding = NamedDecoding(name: name, decoder: decoder)
        namedDecodings[name] = decoding
        return decoding
    }
}

extension TopicSubscription {
    /// Where `time_field` stands in the payload.
    fileprivate var stampPath: FieldPath? { timeField.map { FieldPath(origin: .payload, elements: $0.map { .name($0) }) } }
}
