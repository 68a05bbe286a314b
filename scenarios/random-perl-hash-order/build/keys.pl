my %counts = map { $_ => 1 } 'a' .. 'j';
my @names = keys %counts;
@names = sort @names if @ARGV;
print "@names\n";
