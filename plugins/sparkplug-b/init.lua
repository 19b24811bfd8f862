-- Eclipse Sparkplug 3.0.0, chapters 4 and 6: spBv1.0/GROUP/MESSAGE/NODE[/DEVICE], the payload in Protocol Buffers (§6.4.1, sparkplug_b.proto).
--
-- A metric is a field: 'Node Control/Rebirth' is Node_Control_Rebirth. Births say `online = true`, deaths `online = false`. Metrics that a node
-- names by number in its data are named as in its birth, which is remembered; without one they are alias_7. What is marked
-- historical is left out: a rule sees the present. The time is the payload's own. Commands are no readings.

-- Protocol Buffers: https://protobuf.dev/programming-guides/encoding/ ------------------------------------

local function varint(bytes, at, last)
  local value, shift = 0, 0
  while true do
    local byte = at <= last and string.byte(bytes, at)
    if not byte or shift > 63 then error("the payload is no Sparkplug message: a number is cut off", 0) end
    value = value | (byte & 127) << shift
    at = at + 1
    if byte < 128 then return value, at end
    shift = shift + 7
  end
end

-- Calls `take(number, value, first, last)` for each field of a message: `value` of a number, the span of anything with a length.
local function fields_of(bytes, at, last, take)
  while at <= last do
    local key
    key, at = varint(bytes, at, last)
    local number, kind = key >> 3, key & 7
    if kind == 0 then
      local value
      value, at = varint(bytes, at, last)
      take(number, value)
    elseif kind == 2 then
      local length
      length, at = varint(bytes, at, last)
      if length < 0 or length > last - at + 1 then error("the payload is no Sparkplug message: field " .. number .. " is cut off", 0) end
      take(number, nil, at, at + length - 1)
      at = at + length
    elseif kind == 1 or kind == 5 then
      local size = kind == 1 and 8 or 4
      if at + size - 1 > last then error("the payload is no Sparkplug message: field " .. number .. " is cut off", 0) end
      take(number, nil, at, at + size - 1)
      at = at + size
    else
      error("the payload is no Sparkplug message: field " .. number .. " has the wire type " .. kind, 0)
    end
  end
end

-- Values (§6.4.16) ---------------------------------------------------------------------------------------

-- Signed types travel as unsigned numbers of their size.
local signed = { [1] = 8, [2] = 16, [3] = 32, [4] = 64 }

local function signed_value(value, bits)
  if bits == 64 then return value end
  value = value & (1 << bits) - 1
  if value >= 1 << bits - 1 then value = value - (1 << bits) end
  return value
end

-- As unsigned: beyond 2^63 a double, which is what rules have anyway.
local function unsigned_value(value)
  if value >= 0 then return value end
  return (value >> 1) * 2.0 + (value & 1)
end

local array_forms = {
  [22] = "<i1", [23] = "<i2", [24] = "<i4", [25] = "<i8", [26] = "<I1", [27] = "<I2", [28] = "<I4", [29] = "<I8", [30] = "<f", [31] = "<d",
  [34] = "<I8",
}

local function number_array(form, bytes)
  local size, list = string.packsize(form), {}
  for at = 1, #bytes - size + 1, size do list[#list + 1] = (string.unpack(form, bytes, at)) end
  return list
end

-- A count of four bytes, then a bit each, the first in the highest.
local function bool_array(bytes)
  if #bytes < 4 then return {} end
  local count, list = string.unpack("<I4", bytes), {}
  if count > (#bytes - 4) * 8 then error("a metric's array of bools is cut off", 0) end
  for index = 0, count - 1 do list[index + 1] = string.byte(bytes, 5 + index // 8) >> 7 - index % 8 & 1 == 1 end
  return list
end

local function string_array(bytes)
  local list, at = {}, 1
  while at <= #bytes do
    local zero = string.find(bytes, "\0", at, true)
    if not zero then break end
    list[#list + 1] = string.sub(bytes, at, zero - 1)
    at = zero + 1
  end
  return list
end

local function bytes_value(datatype, bytes)
  if array_forms[datatype] then return number_array(array_forms[datatype], bytes) end
  if datatype == 32 then return bool_array(bytes) end
  if datatype == 33 then return string_array(bytes) end
  return base64.encode(bytes)
end

local metric_of

-- Templates (§6.4.14): their metrics as members.
local function template(bytes, first, last)
  local members = {}
  fields_of(bytes, first, last, function(number, _, from, to)
    if number ~= 2 or not from then return end
    local metric = metric_of(bytes, from, to)
    if metric.name and metric.value ~= nil then members[names.identifier(metric.name)] = metric.value end
  end)
  return members
end

local function cell(bytes, first, last)
  local found
  fields_of(bytes, first, last, function(number, value, from, to)
    if number == 1 or number == 2 then found = value
    elseif number == 3 and from then found = string.unpack("<f", bytes, from)
    elseif number == 4 and from then found = string.unpack("<d", bytes, from)
    elseif number == 5 then found = value ~= 0
    elseif number == 6 and from then found = string.sub(bytes, from, to) end
  end)
  return found
end

-- Data sets (§6.4.13): a list of rows, each with its columns as members.
local function data_set(bytes, first, last)
  local columns, types, rows = {}, {}, {}
  fields_of(bytes, first, last, function(number, value, from, to)
    if number == 2 and from then
      columns[#columns + 1] = names.identifier(string.sub(bytes, from, to))
    elseif number == 3 then
      if value then
        types[#types + 1] = value
      else
        local at = from
        while at <= to do types[#types + 1], at = varint(bytes, at, to) end
      end
    elseif number == 4 and from then
      local row, index = {}, 0
      fields_of(bytes, from, to, function(element, _, start, stop)
        if element ~= 1 or not start then return end
        index = index + 1
        local found = cell(bytes, start, stop)
        if math.type(found) == "integer" and signed[types[index]] then found = signed_value(found, signed[types[index]]) end
        row[columns[index] or "column_" .. index] = found
      end)
      rows[#rows + 1] = row
    end
  end)
  return rows
end

-- Metrics (§6.4.6). The datatype may follow the value, so values are made when all is known.
function metric_of(bytes, first, last)
  local metric, datatype, whole, from_bytes = {}, nil, nil, nil
  fields_of(bytes, first, last, function(number, value, from, to)
    if number == 1 and from then metric.name = string.sub(bytes, from, to)
    elseif number == 2 then metric.alias = value
    elseif number == 4 then datatype = value
    elseif number == 5 then metric.is_historical = value ~= 0
    elseif number == 7 then metric.is_null = value ~= 0
    elseif number == 10 or number == 11 then whole = value
    elseif number == 12 and from and to - from == 3 then metric.value = string.unpack("<f", bytes, from)
    elseif number == 13 and from and to - from == 7 then metric.value = string.unpack("<d", bytes, from)
    elseif number == 14 then metric.value = value ~= 0
    elseif number == 15 and from then metric.value = string.sub(bytes, from, to)
    elseif number == 16 and from then from_bytes = string.sub(bytes, from, to)
    elseif number == 17 and from then metric.value = data_set(bytes, from, to)
    elseif number == 18 and from then metric.value = template(bytes, from, to) end
  end)
  metric.datatype = datatype
  metric.whole = whole
  metric.bytes = from_bytes
  return metric
end

-- The value once the datatype is known, from the metric or from its birth.
local function value_of(metric, datatype)
  if metric.is_null then return nil end
  if metric.whole then
    if signed[datatype] then return signed_value(metric.whole, signed[datatype]) end
    return unsigned_value(metric.whole)
  end
  if metric.bytes then return bytes_value(datatype, metric.bytes) end
  return metric.value
end

-- Births -------------------------------------------------------------------------------------------------

-- What the metrics of an edge node are called is remembered in the group 'GROUP/NODE' under the alias, which is unique in its node (§6.4.6).

local function remember(node, metric)
  if not metric.alias or not metric.name then return end
  memory.set(node, metric.alias, { name = metric.name, datatype = metric.datatype })
end

local function named(node, metric)
  local known = metric.alias and not (metric.name and metric.datatype) and memory.get(node, metric.alias) or {}
  local name = metric.name or known.name or metric.alias and "alias_" .. metric.alias
  return name, metric.datatype or known.datatype
end

-- Messages -----------------------------------------------------------------------------------------------

local function read(bytes, fields, node, is_birth)
  local time
  fields_of(bytes, 1, #bytes, function(number, value, from, to)
    if number == 1 then
      time = value
    elseif number == 2 and from then
      local metric = metric_of(bytes, from, to)
      if is_birth then remember(node, metric) end
      if metric.is_historical then return end
      local name, datatype = named(node, metric)
      if name then fields[names.identifier(name)] = value_of(metric, datatype) end
    elseif number == 3 and value then
      fields.seq = value
    end
  end)
  return fields, timestamp.of_number(time)
end

local function decode(topic, bytes)
  local levels = topics.levels(topic)
  if levels[1] ~= "spBv1.0" then error("a Sparkplug topic must begin with spBv1.0", 0) end
  -- spBv1.0/STATE/HOST of version 3, STATE/HOST of older ones: {"online": true, "timestamp": …}
  if levels[2] == "STATE" then
    local state = payload.object(bytes)
    return { online = state.online == true }, timestamp.of_number(state.timestamp)
  end
  local message, node = levels[3], levels[2] .. "/" .. (levels[4] or "")
  if message == "NBIRTH" or message == "DBIRTH" then
    -- A node that is born anew numbers its metrics anew.
    if message == "NBIRTH" then memory.clear(node) end
    return read(bytes, { online = true }, node, true)
  end
  if message == "NDEATH" or message == "DDEATH" then return read(bytes, { online = false }, node, false) end
  if message == "NDATA" or message == "DDATA" then return read(bytes, {}, node, false) end
  return nil
end

plugin { decoders = { ["sparkplug-b"] = decode } }
