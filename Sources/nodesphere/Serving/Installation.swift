import DurableFiles
import Foundation

/// Which installation a data folder belongs to: an id in its file `installation`, and the same id in the store.
enum Installation {
    static func id(in folder: String) -> String? {
        FileManager.default.contents(atPath: path(folder)).map {
            String(decoding: $0, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }

    /// A folder without an id gets the store's; one with another than the store's is refused: journal and store would contradict each other.
    static func agree(_ store: String, in folder: String) throws(StartFailure) {
        guard let own = id(in: folder) else {
            do { return try DurableFile.write(Array(store.utf8), to: path(folder)) } catch {
                throw StartFailure(description: error.description, status: 1)
            }
        }
        guard own != store else { return }
        throw StartFailure(
            description:
                "the data folder '\(folder)' belongs to installation \(own) and the state store to \(store). Give the server the folder that belongs to the store, another store, or an empty folder: alerts are then taken from the store",
            status: 1)
    }

    private static func path(_ folder: String) -> String { folder + "/installation" }
}
