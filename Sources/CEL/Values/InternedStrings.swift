/// Strings as dense numbers: bytes in, an id out, found without allocation.
///
/// It grows while expressions are compiled (their constants) and is frozen afterwards: whoever owns it must not intern while another thread
/// evaluates. Ids are given in order from 0 and never change.
public final class InternedStrings: @unchecked Sendable {
    // @unchecked: all mutation happens in `intern`, whose contract above forbids it while anybody else reads.
    private(set) var texts: ContiguousArray<String> = []
    private var hashes: ContiguousArray<UInt64> = []
    /// Open addressing over ids, -1 where empty; a power of two at least twice the number of texts.
    private var table: ContiguousArray<Int32> = ContiguousArray(repeating: -1, count: 64)

    public init() {}

    public var count: Int { texts.count }

    /// The id of these bytes, given now if they had none.
    @discardableResult
    public func intern(_ text: String) -> UInt32 {
        var native = text
        native.makeContiguousUTF8()
        let hash = native.withBytes { Bytes.hash($0) }
        if let id = native.withBytes({ find($0, hash: hash) }) { return id }
        let id = UInt32(texts.count)
        texts.append(native)
        hashes.append(hash)
        if texts.count * 2 > table.count {
            table = ContiguousArray(repeating: -1, count: table.count * 2)
            for position in texts.indices { place(position) }
        } else {
            place(texts.count - 1)
        }
        return id
    }

    private func place(_ position: Int) {
        var index = Int(truncatingIfNeeded: hashes[position]) & (table.count - 1)
        while table[index] >= 0 { index = (index + 1) & (table.count - 1) }
        table[index] = Int32(truncatingIfNeeded: position)
    }

    /// The id of these bytes when they have one.
    public func find(_ utf8: UnsafeRawBufferPointer) -> UInt32? {
        utf8.withMemoryRebound(to: UInt8.self) { find($0, hash: Bytes.hash($0)) }
    }

    func find(_ text: String) -> UInt32? {
        text.withBytes { find($0, hash: Bytes.hash($0)) }
    }

    private func find(_ bytes: UnsafeBufferPointer<UInt8>, hash: UInt64) -> UInt32? {
        var index = Int(truncatingIfNeeded: hash) & (table.count - 1)
        while table[index] >= 0 {
            let id = Int(table[index])
            if hashes[id] == hash, texts[id].withBytes({ Bytes.areEqual($0, bytes) }) { return UInt32(truncatingIfNeeded: id) }
            index = (index + 1) & (table.count - 1)
        }
        return nil
    }

    /// The text of an id; the empty string for an id that was never given.
    public subscript(id: UInt32) -> String {
        Int(id) < texts.count ? texts[Int(id)] : ""
    }

    /// A slot for a string: its id when it is interned, else a retained box.
    public func slot(utf8: UnsafeRawBufferPointer) -> Slot {
        if let id = find(utf8) { return Slot(interned: id) }
        return Slot(box: ValueBox(.string(String(decoding: utf8, as: UTF8.self))))
    }
}
