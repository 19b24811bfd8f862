import CEL

extension Engine {
    /// Begins a picture of the state as it is now. One is under way at a time: an earlier one that is not whole is abandoned.
    public func beginCheckpoint() -> EngineCheckpoint {
        abandonCheckpoint()
        let checkpoint = EngineCheckpoint(common: EngineCommonState(self))
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

    /// The same, with the bytes of what was copied and of what inputs made necessary meanwhile; nil when the picture was abandoned.
    public func takeCheckpointPiece(subjects count: Int) -> (bytes: [UInt8], isWhole: Bool)? {
        guard let checkpoint = context.checkpoint else { return nil }
        let isWhole = continueCheckpoint(subjects: count)
        return (checkpoint.takeBytes(), isWhole)
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
