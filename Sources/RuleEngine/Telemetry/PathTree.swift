/// Paths into a payload as a tree: what a decoder's flat tables are made from.
struct PathTree {
    struct Node {
        var names: [(bytes: [UInt8], child: Int32)] = []
        var elements: [(index: Int, child: Int32)] = []
        /// The path that ends here, or -1.
        var column: Int32 = -1
        var columnsBelow: [Int32] = []
    }
    private(set) var nodes = [Node()]

    init(_ paths: [FieldPath]) {
        for (column, path) in paths.enumerated() {
            var at: Int32 = 0
            for element in path.elements {
                nodes[Int(at)].columnsBelow.append(Int32(column))
                at = child(of: at, element)
            }
            nodes[Int(at)].column = Int32(column)
        }
    }

    private mutating func child(of parent: Int32, _ element: FieldPath.Element) -> Int32 {
        let next = Int32(nodes.count)
        switch element {
        case .name(let name):
            let bytes = Array(name.utf8)
            if let known = nodes[Int(parent)].names.first(where: { $0.bytes == bytes }) { return known.child }
            nodes[Int(parent)].names.append((bytes, next))
        case .index(let index):
            if let known = nodes[Int(parent)].elements.first(where: { $0.index == index }) { return known.child }
            nodes[Int(parent)].elements.append((index, next))
        }
        nodes.append(Node())
        return next
    }
}
