import CEL

extension Engine {
    /// Begins a picture of the state as it is now. One is under way at a time: an earlier one that is not whole is abandoned.
    public func beginCheckpoint() -> EngineCheckpoint {
        abandonCheckpoint()
        let checkpoint = EngineCheckpoint(common: commonState())
        context.checkpoint = checkpoint
        for shard in shards { for source in shard.sources { source.beginSaving() } }
        return checkpoint
    }

    /// Copies up to so many subjects of those that are not copied yet. Returns true when the picture is whole, or abandoned.
    @discardableResult
    public func continueCheckpoint(subjects count: Int) -> Bool {
        guard let checkpoint = context.checkpoint else { return true }
        var left = count
        while checkpoint.shard < shards.count {
            let shard = shards[checkpoint.shard]
            guard checkpoint.source < shard.sources.count else {
                (checkpoint.shard, checkpoint.source, checkpoint.subject) = (checkpoint.shard + 1, 0, 0)
                continue
            }
            let source = shard.sources[checkpoint.source]
            while let subject = source.nextUnsaved(from: checkpoint.subject) {
                guard left > 0 else { return false }
                shard.save(source, Int32(subject))
                checkpoint.subject = subject + 1
                left -= 1
            }
            source.endSaving()
            (checkpoint.source, checkpoint.subject) = (checkpoint.source + 1, 0)
        }
        checkpoint.finish()
        context.checkpoint = nil
        return true
    }

    /// The whole state at once, in one order: equal for engines that stand in the same place, whatever the number of shards.
    public func snapshot() -> [UInt8] {
        let checkpoint = beginCheckpoint()
        continueCheckpoint(subjects: .max)
        return checkpoint.inOrder()
    }

    func abandonCheckpoint() {
        guard let checkpoint = context.checkpoint else { return }
        checkpoint.isAbandoned = true
        context.checkpoint = nil
        for shard in shards { for source in shard.sources { source.endSaving() } }
    }

    /// What belongs to no subject.
    private func commonState() -> [UInt8] {
        var writer = SnapshotWriter()
        writer.write(context.now)
        writer.write(context.ordinal)
        writer.write(lateOrdinal)
        writer.write(hasStarted)
        writer.write(context.isReadingBacklog)
        writer.write(context.beatFloor)
        writer.write(context.nextSubjectOrdinal)
        writer.write(context.variables.count)
        for (name, value) in context.variables.sorted(by: { $0.key < $1.key }) {
            writer.write(name)
            writer.write(value)
        }
        writer.write(context.devices.count)
        for (id, device) in context.devices.sorted(by: { $0.key < $1.key }) {
            writer.write(id)
            writer.write(device.config)
            writer.write(device.labels)
            writer.write(device.location != nil)
            if let place = device.location {
                writer.write(place.latitude.bitPattern)
                writer.write(place.longitude.bitPattern)
            }
        }
        writer.write(context.ownAlertDue)
        writer.write(context.ownAlerts.count)
        for (_, own) in context.ownAlerts.sorted(by: { $0.key < $1.key }) {
            writer.write(own.record.document)
            writer.write(own.lastCauseAt)
        }
        let clocks = clock.all.sorted()
        writer.write(clocks.count)
        for timer in clocks {
            writer.write(timer.due)
            writer.write(Int64(timer.rule))
        }
        return writer.finish()
    }
}

extension SourceState {
    /// A bit for each subject that is there now.
    func beginSaving() {
        unsaved = [UInt64](repeating: 0, count: (subjects.count + 63) / 64)
        for subject in subjects.indices where subjects[subject].isKnown { unsaved[subject >> 6] |= 1 << UInt64(subject & 63) }
        isSaving = !unsaved.isEmpty
    }

    func endSaving() {
        unsaved = []
        isSaving = false
    }

    func nextUnsaved(from start: Int) -> Int? {
        var word = start >> 6
        guard word < unsaved.count else { return nil }
        var bits = unsaved[word] & (UInt64.max << UInt64(start & 63))
        while bits == 0 {
            word += 1
            guard word < unsaved.count else { return nil }
            bits = unsaved[word]
        }
        return word << 6 + bits.trailingZeroBitCount
    }

    func isUnsaved(_ subject: Int32) -> Bool {
        Int(subject) >> 6 < unsaved.count && unsaved[Int(subject) >> 6] & (1 << UInt64(subject & 63)) != 0
    }
}
