/// A text that must not appear in logs, errors or the API; printing one shows that it is there and nothing else.
public enum Secret: Sendable, Equatable {
    case text(String)
    /// The content of a file, read at each use (so that it can be replaced while the server runs), without the line end at its end.
    case file(String)
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String {
        switch self {
        case .text: "<secret>"
        case .file(let path): "<secret from \(path)>"
        }
    }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
