/// What of an engine belongs to no subject, held as it was at one instant; written out later, on whatever thread.
public struct EngineCommonState: Sendable {
    private let now: Instant
    private let ordinal: Int64
    private let lateOrdinal: Int64
    private let hasStarted: Bool
    private let isReadingBacklog: Bool
    private let beatFloor: Instant
    private let nextSubjectOrdinal: Int64
    private let bounds: EngineBounds
    private let variables: [String: Document]
    private let devices: [String: EngineContext.DeviceEntry]
    private let ownAlerts: [String: EngineContext.OwnAlert]
    private let ownAlertDue: Instant
    private let scriptAlerts: [AlertRecord]
    private let queries: [SavedQuery]
    private let clocks: [Timer]
    private let decoders: [(name: String, memory: DecoderMemory)]

    init(_ engine: Engine) {
        let context = engine.context
        (now, ordinal, lateOrdinal) = (context.now, context.ordinal, engine.lateOrdinal)
        (hasStarted, isReadingBacklog, beatFloor) = (engine.hasStarted, context.isReadingBacklog, context.beatFloor)
        nextSubjectOrdinal = context.nextSubjectOrdinal
        bounds = context.bounds
        (variables, devices) = (context.variables, context.devices)
        (ownAlerts, ownAlertDue) = (context.ownAlerts, context.ownAlertDue)
        scriptAlerts = engine.scriptAlerts
        queries = SavedQuery.all(of: context)
        clocks = engine.clock.all
        decoders = context.plan.decoders.map { (name: $0.key, memory: $0.value.memory) }.filter { !$0.memory.isEmpty }
    }

    /// The beginning of a checkpoint: version, length, content.
    public var head: [UInt8] {
        var writer = SnapshotWriter()
        writer.write(byte: EngineCheckpoint.version)
        writer.write(bytes: content)
        return writer.finish()
    }

    private var content: [UInt8] {
        var writer = SnapshotWriter()
        writer.write(now)
        writer.write(ordinal)
        writer.write(lateOrdinal)
        writer.write(hasStarted)
        writer.write(isReadingBacklog)
        writer.write(beatFloor)
        writer.write(nextSubjectOrdinal)
        writer.write(bounds)
        writer.write(variables.count)
        for (name, value) in variables.sorted(by: { $0.key < $1.key }) {
            writer.write(name)
            writer.write(value)
        }
        writer.write(devices.count)
        for (id, device) in devices.sorted(by: { $0.key < $1.key }) {
            writer.write(id)
            writer.write(device.config)
            writer.write(device.labels)
            writer.write(device.location)
        }
        writer.write(ownAlertDue)
        writer.write(ownAlerts.count)
        for (_, own) in ownAlerts.sorted(by: { $0.key < $1.key }) {
            writer.write(own.record.document)
            writer.write(own.lastCauseAt)
        }
        writer.write(scriptAlerts.count)
        for alert in scriptAlerts { writer.write(alert.document) }
        writer.write(queries.count)
        for query in queries { query.write(to: &writer) }
        writer.write(clocks.count)
        for timer in clocks.sorted() {
            writer.write(timer.due)
            writer.write(Int64(timer.rule))
        }
        writer.write(decoders.count)
        for decoder in decoders.sorted(by: { $0.name < $1.name }) {
            writer.write(decoder.name)
            writer.write(decoder.memory)
        }
        return writer.finish()
    }
}
