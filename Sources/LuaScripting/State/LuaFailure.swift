/// Why a piece of Lua ended before its time: where, what, and which limit it ran into.
public struct LuaFailure: Error, Sendable, Equatable {
    /// The chunk's name: a path, as `load` was given it. Empty when the failure has no place.
    public var file: String
    /// 0 when the failure has no place.
    public var line: Int
    public var message: String
    public var limit: LuaLimit?
    /// The script's own functions, innermost first, one a line: `file:line: in function 'name'`.
    public var traceback: String

    /// False for an error that was raised on purpose without a place: `error("…", 0)`.
    public var isPlaced = false

    public init(file: String = "", line: Int = 0, message: String, limit: LuaLimit? = nil, traceback: String = "") {
        self.file = file
        self.line = line
        self.message = message
        self.limit = limit
        self.traceback = traceback
    }
}

extension LuaFailure: CustomStringConvertible {
    /// `file:line: message`.
    public var description: String { place + message }

    /// With its place, unless it was raised without one: what a decoder or function refuses with is for who reads rules, its mistakes for who wrote it.
    public var reason: String { isPlaced ? description : message }

    /// `file:line: `, as far as it is known.
    private var place: String { file.isEmpty ? "" : line > 0 ? "\(file):\(line): " : "\(file): " }

    /// As compilers write it: the place, the line of the source with it, and the way there.
    public func text(source: String?) -> String {
        var text = "\(place)error: \(message)\n"
        if let source, line > 0 { text += Self.excerpt(source, line) }
        // One frame says no more than the place.
        let frames = traceback.split(separator: "\n")
        if frames.count > 1 { text += frames.map { "  \($0)\n" }.joined() }
        return text
    }

    /// Of mistakes of grammar Lua says where it noticed, at the end of the file perhaps, and in words where they begin: `break outside loop at line 1`.
    var placedWhereItBegins: LuaFailure {
        guard traceback.isEmpty, let range = message.firstRange(of: " at line "),
            let begin = Int(message[range.upperBound...].prefix(while: \.isNumber)),
            !message.contains("to close") || message.hasSuffix("near <eof>")
        else { return self }
        var failure = self
        failure.line = begin
        return failure
    }

    /// Empty for a line that the source does not have, or on which there is nothing.
    private static func excerpt(_ source: String, _ line: Int) -> String {
        let lines = source.split(separator: "\n", maxSplits: line, omittingEmptySubsequences: false)
        guard line <= lines.count, lines[line - 1].contains(where: { !$0.isWhitespace }) else { return "" }
        let number = "\(line)"
        let margin = String(repeating: " ", count: number.count)
        return "\(margin) |\n\(number) | \(lines[line - 1])\n\(margin) |\n"
    }
}
